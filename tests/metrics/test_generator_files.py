"""Generators of runs: what to type where one is missing, in a project and outside."""

from pathlib import Path

import pytest

from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.metrics import generator_files

from ..conftest import ROOT


@pytest.mark.parametrize("inside", [True, False])
def test_a_run_without_weights_names_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if inside:
        (tmp_path / "params.yaml").symlink_to(ROOT / "params.yaml")
    with pytest.raises(UserError) as raised:
        generator_files.read_trained(plans.load(scale="paper"), "transgan-cifar10")
    said = str(raised.value)
    assert said.endswith("run `transgan train transgan-cifar10 --scale paper`")
    assert ("`transgan init DIR`" in said) is not inside
