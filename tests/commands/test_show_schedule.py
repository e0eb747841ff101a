"""`transgan plan --gpus N`: the schedule of a scale, as a user asks for it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from transgan import cli
from transgan.config import plan as plans
from transgan.cost import counts, rehearsal_file
from transgan.cost.rehearsal_file import FITS, Rehearsal
from transgan.hardware.info import device_name
from transgan.utils import files

PAPER = ("--params", str(ROOT / "params.yaml"), "--scale", "paper")


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    """Exit code and both streams of `transgan plan`."""
    monkeypatch.setattr(sys, "argv", ["transgan", "plan", *options])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    streams = capsys.readouterr()
    return int(str(caught.value.code or 0)), streams.out, streams.err


def test_the_paper_scale_on_several_numbers_of_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("--device", "H100", "--gpus", "1,4,32, 256", "--price", "2.5")
    code, out, _ = call(monkeypatch, capsys, *PAPER, *asked, "--json")
    assert code == 0
    content = json.loads(out)
    found, total = content["schedule"], content["total"]["hours"]
    hours = {row["run"]: row["hours"] for row in content["runs"] if row["status"] != "skipped"}
    longest = max(hours, key=lambda run: hours[run])
    assert found["gpu_hours"] == pytest.approx(total)
    assert found["critical_path"]["stages"] == [f"train@{longest}"]
    assert found["critical_path"]["hours"] == pytest.approx(hours[longest])
    assert [row["gpus"] for row in found["on"]] == [1, 4, 32, 256]
    assert found["on"][0]["hours"] == pytest.approx(total)
    assert found["on"][0]["utilization"] == pytest.approx(1)
    for row in found["on"]:
        assert row["hours"] >= max(total / row["gpus"], hours[longest]) - 1e-6
        assert row["cost_used"] == pytest.approx(2.5 * total)
        assert row["cost_held"] == pytest.approx(2.5 * row["gpus"] * row["hours"])
        assert set(row["runs"]) == set(hours)
        for run, times in row["runs"].items():
            assert times["end"] - times["start"] == pytest.approx(hours[run])
    assert found["on"][-1]["hours"] == pytest.approx(hours[longest])
    assert 1 < found["enough_gpus"] <= len(hours)

    code, out, _ = call(monkeypatch, capsys, *PAPER, *asked)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    flat = " ".join(out.split())
    assert f"{len(hours)} runs" in flat
    assert f"train@{longest}" in flat
    assert f"{found['enough_gpus']} GPUs suffice for the critical path" in flat
    assert "Costs at 2.5 per GPU-hour" in flat
    assert "assumed, not measured" in flat
    assert "score" in flat[flat.index("take none") - 80 : flat.index("take none")]
    rows = [line.split() for line in out.splitlines() if line.split()[:1] in (["1"], ["4"], ["32"], ["256"])]
    assert [row[0] for row in rows] == ["1", "4", "32", "256"]
    assert rows[0][3] == "100%"


@pytest.fixture
def counted(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny project, whose runs count as one of params.yaml's: counting takes seconds for each."""
    count = {**next(iter(counts.stored_counts().values())), "total_eflop": 1.0}
    monkeypatch.setattr(counts, "counted", lambda plan, run: count)
    return project


def test_measured_hours_are_used_and_named(
    counted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plans.load()
    device = device_name(cpu=True)
    for position, name in enumerate(plan.scheduled_runs):
        run = plan.run(name)
        seconds = 3600 * (position + 1) / run.recipe.images
        entry = Rehearsal(rehearsal_file.key(run), 8, FITS, 8, None, 1.0, seconds, None, {})
        rehearsal_file.write(plan, run, entry, device)
    assert len(plan.scheduled_runs) == 3  # of 1, 2 and 3 hours
    code, out, _ = call(monkeypatch, capsys, "--gpus", "2", "--json")
    assert code == 0
    found = json.loads(out)["schedule"]
    assert found["on"][0]["hours"] == pytest.approx(3)
    assert found["on"][0]["utilization"] == pytest.approx(1)
    assert found["on"][0]["cost_held"] is None
    code, out, _ = call(monkeypatch, capsys, "--gpus", "2")
    assert code == 0
    assert "measured by `transgan rehearse` for 3 of 3 runs" in " ".join(out.split())
    assert "cost" not in out.lower()
    # A damaged entry leaves its run's hours unknown.
    stored = json.loads(rehearsal_file.path(plan).read_text())
    assert asdict(entry).keys() == stored[device]["one-cifar10"].keys()
    del stored[device]["one-cifar10"]["batch"]
    files.write_json(rehearsal_file.path(plan), stored)
    code, out, err = call(monkeypatch, capsys, "--gpus", "2")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "the hours of one-cifar10 are unknown; add --device with one of H200, H100" in err


def test_a_run_on_several_gpus_takes_its_share_of_the_hours(
    counted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text())
    content["runs"]["two-cifar10"].setdefault("changes", {})["recipe"] = {"devices": 4}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    code, out, err = call(monkeypatch, capsys, "--device", "H100", "--gpus", "3")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--gpus 3: train@two-cifar10 takes 4 GPUs (`devices` in its recipe); give at least that many" in err
    code, out, _ = call(monkeypatch, capsys, "--device", "H100", "--gpus", "4", "--json")
    assert code == 0
    content = json.loads(out)
    times = content["schedule"]["on"][0]["runs"]["two-cifar10"]
    (hours,) = [row["hours"] for row in content["runs"] if row["run"] == "two-cifar10"]
    assert times["gpus"] == 4
    assert times["end"] - times["start"] == pytest.approx(hours / 4)
    code, out, _ = call(monkeypatch, capsys, "--device", "H100", "--gpus", "4")
    assert "as many times as fast as their GPUs: two-cifar10" in " ".join(out.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "x"], "'x' is no number from 1 to 999999; write --gpus 32 or --gpus 4,32,256"),
        (["--gpus", "0"], "'0' is no number"),
        (["--gpus", "4,,8"], "'' is no number"),
        (["--gpus", "-1"], "'-1' is no number"),
        (["--gpus", "1" * 5000], "is no number"),
        (["--gpus", "٣"], "is no number"),
        (["--gpus", "4", "--price", "nan"], "--price nan: give the price of one GPU for one hour"),
        (["--gpus", "4", "--price", "-1"], "--price -1.0"),
        (["--gpus", "4", "--price", "much"], "--price"),
        (["--price", "2.5"], "--price needs the number of GPUs"),
        (["--gpus", "4"], "are unknown; add --device"),
    ],
)
def test_numbers_that_make_no_sense_are_one_line_and_exit_2(
    counted: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    code, out, err = call(monkeypatch, capsys, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
