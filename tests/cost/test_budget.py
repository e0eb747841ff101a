"""Hours from counted operations and a measured or assumed rate; disk space with shared parts counted once."""

import json
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from transgan.commands import show_plan
from transgan.config import plan as plans
from transgan.config.plan import Run
from transgan.cost import budget, calibrate, counts
from transgan.errors import UserError
from transgan.utils import files

MACHINE = "a processor"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (budget, calibrate):
        monkeypatch.setattr(module, "device_name", lambda cpu=False: MACHINE)


def shown(capsys: pytest.CaptureFixture[str], device: str | None = None) -> dict:
    show_plan.show(plans.load(), as_json=True, device=device)
    return json.loads(capsys.readouterr().out)


def calibrated(plan: plans.Plan, device: str = MACHINE, **products: float) -> None:
    calibration = {
        "run": "one-cifar10",
        "precision": "float32",
        "batch": 8,
        "threads": 1,
        "cpu": True,
        "training_tflops": 0.5,
        "share": 0.25,
    }
    files.write_json(
        budget.calibration_file(plan), {device: {**calibration, "product_tflops": products or {"float32": 2.0}}}
    )


@pytest.mark.parametrize("name", ["A100", "a100", "NVIDIA A100"])
def test_the_rate_of_a_named_device_is_a_share_of_its_published_peak(project: Path, name: str) -> None:
    run = plans.load().run("one-cifar10")
    rate = budget.assumed_rate(name)
    assert rate.hours(run, 19.5e12 * 0.4 * 3600 / 1e18) == pytest.approx(1.0)
    assert not rate.measured
    assert "assumed, not measured" in rate.basis


def computed(run: Run, precision: str, compile: bool | str) -> Run:
    return run.model_copy(update={"recipe": run.recipe.model_copy(update={"precision": precision, "compile": compile})})


@pytest.mark.parametrize(("name", "days"), [("transgan-cifar10", 15), ("transgan-celebahq256", 84)])
def test_a_v100_takes_about_as_long_in_float32_as_the_authors_report(name: str, days: float) -> None:
    """They report 12 and 96 GPU-days (docs/workflow.md)."""
    plan, rate = plans.load(ROOT / "params.yaml", "paper"), budget.assumed_rate("V100")
    eflop = counts.eflop(plan, name)
    assert eflop is not None
    run = plan.run(name)
    hours = rate.hours(computed(run, "float32", False), eflop)
    assert hours == pytest.approx(24 * days, rel=0.02)
    assert rate.hours(computed(run, "tf32", False), eflop) == hours  # a V100 has no TF32


def test_assumed_hours_fall_with_precision_and_compilation_as_the_roofline_does(project: Path) -> None:
    run, rate = plans.load().run("one-cifar10"), budget.assumed_rate("H100")
    hours = {
        (precision, compile): rate.hours(computed(run, precision, compile), 1.0)
        for precision in budget.PRECISIONS
        for compile in (False, "auto")
    }
    # Milliseconds of an iteration: 532, 195 and 166 in eager mode, 86 less when compiled.
    assert hours["float32", False] / hours["tf32", False] == pytest.approx(532 / 195, rel=0.2)
    assert hours["float32", False] / hours["bfloat16", False] == pytest.approx(532 / 166, rel=0.2)
    for precision, eager in (("float32", 532), ("tf32", 195), ("bfloat16", 166)):
        ratio = hours[precision, False] / hours[precision, "auto"]
        assert ratio == pytest.approx(eager / (eager - 86), rel=0.05)
    assert "roofline" in rate.basis


def test_an_unknown_device_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="RTX 4090"):
        budget.assumed_rate("B200")


def test_hours_are_unknown_until_this_device_is_calibrated(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.load()
    assert shown(capsys)["total"]["hours"] is None
    calibrated(plan, device="another processor")
    assert shown(capsys)["device"] is None
    show_plan.show(plan, as_json=False)
    assert "transgan plan --calibrate" in capsys.readouterr().out


def test_a_calibration_is_scaled_to_other_precisions_by_their_matrix_products(project: Path) -> None:
    plan = plans.load()
    calibrated(plan, float32=2.0, bfloat16=8.0)
    rate = budget.measured_rate(plan)
    assert rate is not None
    assert rate.measured
    assert rate.flops == {"float32": pytest.approx(0.5e12), "bfloat16": pytest.approx(2e12)}
    run = next(iter(plan.runs.values()))
    assert rate.hours(run, 1.0) is not None
    assert rate.hours(computed(run, "bfloat16", True), 1.0) == rate.hours(computed(run, "bfloat16", False), 1.0)
    assert rate.hours(computed(run, "tf32", False), 1.0) is None  # this precision was not measured


def test_runs_and_data_that_tables_share_count_once_in_the_total(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["tables"]["again"] = content["tables"]["small"]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    content = shown(capsys, "H100")
    assert {table["table"] for table in content["tables"]} == {"small", "again"}
    runs, total = content["runs"], content["total"]
    assert total["runs"] == len(runs) == 3
    assert total["hours"] == pytest.approx(sum(run["hours"] for run in runs))
    for table in content["tables"]:
        assert table["hours"] == pytest.approx(total["hours"])
        assert table["disk_gib"] == pytest.approx(total["disk_gib"])
    assert total["disk_gib"] == pytest.approx(sum(total["parts"].values()))
    assert total["disk_gib"] < sum(run["disk_gib"] for run in runs)  # one pack, one reference


def test_a_skipped_run_adds_nothing_to_the_total(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = shown(capsys, "V100")
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["scales"]["tiny"]["runs"]["two-cifar10"] = {"skip": True}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    after = shown(capsys, "V100")
    assert after["runs"][1]["hours"] == before["runs"][1]["hours"]
    assert after["total"]["hours"] == pytest.approx(before["total"]["hours"] * 2 / 3)
    assert after["tables"][0]["runs"] == 2


def test_disk_space_is_the_size_of_the_files(project: Path) -> None:
    plan = plans.load()
    run = plan.run("one-cifar10")
    sizes = {part: size for (part, _), size in budget.disk_need(plan, run, parameters=1000).items()}
    images, image_bytes, features = 1437 + 360, 8 * 8 * 3, 64
    assert sizes["archives"] == 0
    assert sizes["packs"] == images * (image_bytes + 8)
    assert sizes["references"] == 1437 * features * 4 + features * (features + 1) * 8  # KID needs all features
    assert sizes["runs"] == 2 * 16 * 1000 + 4 * 1000 + 3 * 16 * image_bytes  # two checkpoints, the generator, dynamics


def test_a_named_device_cannot_be_calibrated(project: Path) -> None:
    with pytest.raises(UserError, match="leave --device out"):
        show_plan.show(plans.load(), as_json=True, device="A100", calibrate=True)


@pytest.mark.slow
def test_a_calibration_measures_training_steps_and_is_stored(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SECONDS", 0.2), ("PRODUCT_SIDE", 128), ("CPU_ITERATION_FLOP", 1e7)):
        monkeypatch.setattr(calibrate, name, value)
    show_plan.show(plans.load(), as_json=True, calibrate=True)
    first = json.loads(capsys.readouterr().out)
    assert first["device"]["measured"]
    assert first["total"]["hours"] > 0
    assert shown(capsys)["total"]["hours"] == first["total"]["hours"]
    calibration = files.read_json(budget.calibration_file(plans.load()))[MACHINE]
    assert calibration["run"] == "one-cifar10"
    assert calibration["batch"] < plans.load().run("one-cifar10").recipe.batch
