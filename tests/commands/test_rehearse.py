"""`transgan rehearse`, and what `transgan plan` makes of it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from transgan.commands import rehearse, show_plan
from transgan.config import plan as plans
from transgan.cost import rehearsal_file
from transgan.cost.rehearsal_file import DOES_NOT_FIT, FITS, SHAPES, Rehearsal
from transgan.errors import UserError
from transgan.hardware.info import device_name


def transgan(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "transgan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_rehearsal_is_stored_and_not_repeated(project: Path) -> None:
    for command in (("fetch", "digits"), ("prepare", "digits"), ("classifier", "digits")):  # so that scoring is tried
        assert transgan(*command).returncode == 0
    first = transgan("rehearse", "one-cifar10")
    assert first.returncode == 0, first.stderr
    assert "rehearse one-cifar10 (1 of 1)" in first.stderr
    plan = plans.load()
    stored = rehearsal_file.read(plan, plan.run("one-cifar10"))
    assert stored is not None
    assert stored.result == SHAPES
    second = transgan("rehearse", "one-cifar10")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert "(1 of 1)" not in second.stderr
    assert "(1 of 1)" in transgan("rehearse", "one-cifar10", "--again").stderr


def test_on_meta_nothing_is_stored(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.load()
    rehearse.rehearse(plan, ["one-cifar10"], "meta", again=False)
    assert "memory is counted, not measured" in capsys.readouterr().out
    assert not rehearsal_file.path(plan).exists()


def test_a_killed_process_is_a_run_that_does_not_fit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.CompletedProcess([], -9)

    monkeypatch.setattr(subprocess, "run", killed)
    plan = plans.load()
    with pytest.raises(UserError, match=r"1 of 1 runs have problems \(one-cifar10\)"):
        rehearse.rehearse(plan, ["one-cifar10"], "cpu", again=False)
    stored = rehearsal_file.read(plan, plan.run("one-cifar10"))
    assert stored is not None
    assert stored.failed == ["its process was killed, probably because the machine's memory was exhausted"]


def test_an_unknown_device_is_named(project: Path) -> None:
    with pytest.raises(UserError, match="--device tpu: unknown; choose auto, cpu, cuda, meta"):
        rehearse.rehearse(plans.load(), [], "tpu", again=False)


def test_the_plan_has_measured_hours_and_memory(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.load()
    run = plan.run("one-cifar10")
    fits = Rehearsal(rehearsal_file.key(run), 16, FITS, 16, 16, 3.5, 0.25, None, {"score": "ok"})
    rehearsal_file.write(plan, run, fits, device_name(cpu=True))
    show_plan.show(plan, as_json=True)
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    row = rows["one-cifar10"]
    assert (row["rehearsed"], row["fits"], row["measured_memory_gib"]) == (True, True, 3.5)
    assert row["hours"] == pytest.approx(0.25 * 512 / 3600)
    assert (rows["two-cifar10"]["rehearsed"], rows["two-cifar10"]["hours"]) == (False, None)
    show_plan.show(plan, as_json=False)
    assert "*: measured by `transgan rehearse` on this device." in capsys.readouterr().out

    # A run that does not fit is marked, and one that has changed since is not measured.
    failed = replace(fits, result=DOES_NOT_FIT, error="out of memory", seconds_per_image=None)
    rehearsal_file.write(plan, run, failed, device_name(cpu=True))
    changed = run.model_copy(update={"recipe": run.recipe.model_copy(update={"batch": 8})})
    assert rehearsal_file.read(plan, changed, device_name(cpu=True)) is None
    show_plan.show(plan, as_json=True)
    assert not json.loads(capsys.readouterr().out)["runs"][0]["fits"]


@pytest.mark.parametrize("content", ["[]", "{", '{"DEVICE": 3}', '{"DEVICE": {"one-cifar10": {"key": 1}}}'])
def test_a_damaged_file_is_as_none(content: str, project: Path) -> None:
    plan = plans.load()
    file = rehearsal_file.path(plan)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content.replace("DEVICE", device_name(cpu=True)))
    assert rehearsal_file.read(plan, plan.run("one-cifar10")) is None
