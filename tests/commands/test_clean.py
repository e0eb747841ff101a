"""`transgan clean`: unused state folders are listed and removed, used ones and those of a running process stay."""

from pathlib import Path

import pytest

from transgan.commands.clean import clean
from transgan.config import plan as plans
from transgan.pipeline.workspace import locked
from transgan.utils import files

RUN = "one-cifar10"


def test_only_folders_of_other_configurations_are_removed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.load()
    used = plan.paths.workspace("train", RUN, plan.fingerprint("train", RUN))
    unused, running = used.with_name("0" * 12), used.with_name("1" * 12)
    for folder in (used, unused, running):
        files.write_json(folder / "ingredients.json", {})
    clean(plan, delete=False)
    assert unused.exists()
    listed = capsys.readouterr().out
    assert str(unused) in listed
    assert str(used) not in listed
    with locked(running, f"train {RUN}"):
        clean(plan, delete=True)
    output = capsys.readouterr()
    assert "1 folders removed" in output.out
    assert f"warning: {running}: in use, not removed" in output.err
    assert used.exists()
    assert running.exists()
    assert not unused.exists()
