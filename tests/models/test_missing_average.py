"""A checkpoint without its moving average: imported with one line that says so, which its scores carry."""

import json
from pathlib import Path

import pytest
import torch

from tests.models.test_official_checkpoints import checkpoint
from transgan.models.official_checkpoints import import_official
from transgan.models.serialization import load_generator

pytestmark = pytest.mark.faults


def without_average(folder: Path, average: object) -> Path:
    """A checkpoint whose moving average is `average`; "missing": there is no such entry."""
    path = checkpoint(folder)
    content = torch.load(path, weights_only=False)
    content["gen_state_dict"] = content.pop("avg_gen_state_dict")
    if average != "missing":
        content["avg_gen_state_dict"] = average
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("average", "reason"),
    [("missing", "is missing"), (None, "is missing"), ({}, "is missing"), ([torch.zeros(2)], "is list"), (3, "is int")],
)
def test_the_last_weights_are_taken_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], average: object, reason: str
) -> None:
    path = without_average(tmp_path, average)
    saved = load_generator(import_official(path, tmp_path / "generator.safetensors"))
    said = f"the last weights (gen_state_dict), not the moving average (avg_gen_state_dict {reason})"
    assert capsys.readouterr().err.count(said) == 1
    assert said in saved.module.caution
    assert saved.metadata["imported"]["entry"] == "gen_state_dict"


def test_with_the_average_nothing_is_said(tmp_path: Path) -> None:
    saved = load_generator(import_official(checkpoint(tmp_path), tmp_path / "generator.safetensors"))
    assert saved.module.caution == ""
    assert "caution" not in json.dumps(saved.metadata)
