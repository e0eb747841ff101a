"""`transgan plan`: costs and status of runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from transgan.commands import show_plan
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics import training_fid
from transgan.utils import files


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    show_plan.show(plans.load(), as_json=True)
    return {row["run"]: row for row in json.loads(capsys.readouterr().out)["runs"]}


def test_json_has_every_run_with_cost_and_status(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(capsys)
    assert list(rows) == ["one-cifar10", "two-cifar10", "three-cifar10"]
    row = rows["one-cifar10"]
    assert (row["dataset"], row["images"], row["status"]) == ("cifar10", 512, "missing")
    assert row["total_eflop"] == pytest.approx(row["gflop_per_image"] * 512 * 1e-9)  # type: ignore[operator]


@pytest.mark.parametrize("scale", ["demo", "quick", "paper"])
def test_no_run_of_params_yaml_has_to_be_counted(
    scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plans.load(ROOT / "params.yaml", scale)
    show_plan.show(plan, as_json=True, device="H100")
    content = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in content["runs"]] == list(plan.runs)
    assert content["total"]["eflop"] == pytest.approx(
        sum(row["total_eflop"] for row in content["runs"] if row["run"] in plan.scheduled_runs)
    )
    assert not list(tmp_path.rglob("counts"))  # no count was stored in state/


def test_a_checkpoint_makes_a_run_resumable(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.load()
    folder = plan.paths.workspace("train", "one-cifar10", plan.fingerprint("train", "one-cifar10"))
    files.write_json(folder / "checkpoint-000000000128.json", {"images": 128})
    files.write_json(folder / "checkpoint-000000000256.json", {"images": 256})
    assert listed(capsys)["one-cifar10"]["status"] == "resumable at 50%"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_tables_fit_the_width_without_cutting_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))
    plan = plans.load(ROOT / "params.yaml", "demo")
    show_plan.show(plan, as_json=False, device="H100")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "…" not in out
    lines = [line.split() for line in out.splitlines()]
    for run in plan.scheduled_runs:  # the name and the status of each stay
        assert [run, "missing"] in [[line[0], line[-1]] for line in lines if line], run
    assert ("No room for: " in out) == (width < 200)
    skipped = len(plan.runs) - len(plan.scheduled_runs)
    assert f"{skipped} more runs are skipped" in out


def test_a_pipe_has_all_columns_but_those_that_are_unknown(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show_plan.show(plans.load(), as_json=False)
    out = capsys.readouterr().out
    (head,) = [line.split() for line in out.splitlines() if "GFLOP/image" in line]
    assert {"run", "images", "operations", "disk", "status"} <= set(head)
    assert "hours" not in head  # this device was not measured
    assert "No room for" not in out
    show_plan.show(plans.load(), as_json=False, device="H100")
    assert "hours" in capsys.readouterr().out.splitlines()[2].split()


def test_run_and_table_select(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_plan.show(plans.load(), as_json=True, runs=["two-cifar10"])
    content = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in content["runs"]] == ["two-cifar10"]
    assert (content["tables"], content["total"]["runs"]) == ([], 1)
    show_plan.show(plans.load(), as_json=True, tables=["small"])
    content = json.loads(capsys.readouterr().out)
    assert len(content["runs"]) == 3
    assert [row["table"] for row in content["tables"]] == ["small"]
    for wrong in ({"runs": ["four"]}, {"tables": ["large"]}, {"runs": ["two-cifar10"], "gpus": "4", "device": "H100"}):
        with pytest.raises(UserError):
            show_plan.show(plans.load(), as_json=True, **wrong)  # type: ignore[arg-type]


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The product's scale `quick`, in an empty project folder."""
    monkeypatch.chdir(tmp_path)
    return plans.load(ROOT / "params.yaml", "quick")


def held(plan: Plan, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    show_plan.show(plan, as_json=True, device="H100")
    rows = json.loads(capsys.readouterr().out)["runs"]
    return {row["run"]: row["authors_curve"] for row in rows if row["authors_curve"] is not None}


def test_a_running_run_stands_on_the_authors_curve_by_what_it_has_measured(
    quick: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert held(quick, capsys) == {"transgan-cifar10": []}
    show_plan.show(quick, as_json=False, device="H100")
    assert "transgan-cifar10 is held against the authors' learning curve (2.95M to 10M)" in capsys.readouterr().out
    folder = quick.paths.workspace("train", "transgan-cifar10", quick.fingerprint("train", "transgan-cifar10"))
    training_fid.write(folder, [(1_000_000, 90.0), (2_950_016, 39.6), (4_000_000, 35.0)])
    (entries,) = held(quick, capsys).values()
    assert [(entry["images"], entry["place"]) for entry in entries] == [(2_950_016, "on"), (4_000_000, "above")]
    assert entries[1]["difference"] == pytest.approx(3.9)
    assert entries[1]["allowed"] == pytest.approx(0.03 * 31.1 + 0.1)
    show_plan.show(quick, as_json=False, device="H100")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "above the authors' curve" in line]
    assert line.split()[:6] == ["transgan-cifar10", "4M", "35.00", "31.10", "+3.90", "±1.03"]


@pytest.mark.faults
@pytest.mark.parametrize("content", [b"", b"images,fid\n1,x\n", b"\0\xff" * 50, b"[]", None])
def test_a_damaged_record_hides_one_runs_position_and_nothing_else(
    quick: Plan, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    folder = quick.paths.workspace("train", "transgan-cifar10", quick.fingerprint("train", "transgan-cifar10"))
    (folder / training_fid.FILE).mkdir(parents=True)
    if content is not None:
        (folder / training_fid.FILE).rmdir()
        (folder / training_fid.FILE).write_bytes(content)
    show_plan.show(quick, as_json=True, device="H100")
    output = capsys.readouterr()
    assert {row["run"]: row["authors_curve"] for row in json.loads(output.out)["runs"]}["transgan-cifar10"] == []
    named = [line for line in output.err.splitlines() if "its place on the authors' curve is unknown" in line]
    assert len(named) == (content not in (b"", b"[]"))  # nothing measured yet


@pytest.mark.faults
@pytest.mark.parametrize("content", ["", "[]", "null", "3", '{"images": "x"}', '{"images": null}', "{", None])
def test_damaged_checkpoint_records_and_counts_do_not_hide_the_plan(
    project: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    plan = plans.load()
    folder = plan.paths.workspace("train", "one-cifar10", plan.fingerprint("train", "one-cifar10"))
    marker = folder / "checkpoint-000000000032.json"
    marker.mkdir(parents=True)
    if content is not None:
        marker.rmdir()
        marker.write_text(content)
    show_plan.show(plan, as_json=True)
    for count in (plan.paths.state / "counts").glob("*.json"):
        count.write_text(content or "{")
    capsys.readouterr()
    show_plan.show(plan, as_json=True)
    assert {row["status"] for row in json.loads(capsys.readouterr().out)["runs"]} == {"missing"}
