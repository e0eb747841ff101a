"""`transgan plan`: costs and status of runs."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from transgan.commands import show_plan
from transgan.config import plan as plans
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


def test_the_printed_table_fits_150_columns(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_plan.show(plans.load(), as_json=False)
    out = capsys.readouterr().out
    assert "one-cifar10" in out
    assert "missing" in out
    assert max(map(len, out.splitlines())) <= 150
