"""counts.json holds the right counts of all runs of params.yaml, and their keys contain what the counts depend on."""

from dataclasses import asdict
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY
from transgan.config import plan as plans
from transgan.config.plan import Plan, Run
from transgan.cost import counts
from transgan.cost.estimate import estimate


@pytest.fixture(scope="module")
def demo() -> Plan:
    return plans.load(ROOT / "params.yaml", "demo")


def changed(run: Run, **recipe: object) -> Run:
    return run.model_copy(update={"recipe": type(run.recipe).model_validate({**run.recipe.plain(), **recipe})})


def test_counts_json_has_every_run_of_params_yaml(demo: Plan) -> None:
    missing = [run.name for key, run in counts.keyed_runs(demo.file).items() if key not in counts.stored_counts()]
    assert missing == [], "run `make generate`"
    assert set(counts.stored_counts()) == set(counts.keyed_runs(demo.file)), "run `make generate`"


def test_eflop_is_of_the_full_schedule_at_demo_and_of_the_scale_elsewhere(demo: Plan) -> None:
    full = counts.eflop(demo, "transgan-cifar10")
    assert full == counts.eflop(plans.load(demo.file, "paper"), "transgan-cifar10")
    quick = plans.load(demo.file, "quick")
    assert full is not None
    assert counts.eflop(quick, "transgan-cifar10") == pytest.approx(full * quick.run("transgan-cifar10").share)


def test_a_run_of_another_params_file_has_no_count() -> None:
    assert counts.eflop(plans.load(TINY), "one-cifar10") is None


def test_the_key_depends_on_what_operations_depend_on(demo: Plan) -> None:
    run = counts.full_schedule(demo, "transgan-cifar10")
    assert run is not None
    same = changed(run, images=5, compile=True, precision="tf32", ema={"beta": 0.9}, dynamics={"points": 2})
    assert counts.key(same) == counts.key(run)
    for other in (
        changed(run, precision="bfloat16"),
        changed(run, n_critic=1),
        changed(run, regularizers={}),
        changed(run, leak_generator_gradient=False),
    ):
        assert counts.key(other) != counts.key(run)


def test_runs_in_counts_json_are_not_counted_again(demo: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transgan.cost.estimate.estimate", lambda run: pytest.fail(f"{run.name} was counted"))
    for scale in demo.params.scales:
        plan = plans.load(demo.file, scale)
        for run in plan.runs.values():
            count = counts.counted(plan, run)
            assert count["total_eflop"] == count["gflop_per_image"] * run.recipe.images / 1e9
            assert count["memory_gib"] > 0


def test_another_run_is_counted_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plans.load()
    run = plan.run("one-cifar10")
    first = counts.counted(plan, run)
    monkeypatch.setattr("transgan.cost.estimate.estimate", lambda run: pytest.fail(f"{run.name} was counted again"))
    assert counts.counted(plan, run) == first


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v1-s-cifar10", "transgan-cifar10"])
def test_a_stored_count_agrees_with_counting_again(demo: Plan, name: str) -> None:
    run = counts.full_schedule(demo, name)
    assert run is not None
    stored = counts.stored_counts()[counts.key(run)]
    for measure, value in asdict(estimate(run)).items():
        assert stored[measure] == pytest.approx(value, rel=1e-6)
