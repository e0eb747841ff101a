"""What jobs ask of a cluster: from the plan, from measurements, never more than its limit."""

from pathlib import Path

import pytest

from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.cost import job_resources, rehearsal_file
from transgan.cost.rehearsal_file import FITS, Rehearsal
from transgan.pipeline.stages import Stage, stage, stages

from ..conftest import ROOT

RUN = "transgan-cifar10"


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return plans.load(None, "paper")


def with_devices(plan: Plan, devices: int) -> Stage:
    training = stage(plan, "train", RUN)
    return Stage(**{**training.__dict__, "threads": devices * training.threads, "devices": devices})


def record(plan: Plan, device: str, seconds: float) -> None:
    run = plan.run(RUN)
    measured = Rehearsal(rehearsal_file.key(run), 64, FITS, 64, 64, 10.0, seconds, None, {})
    rehearsal_file.write(plan, run, measured, device)


def test_measured_hours_come_before_assumed_ones_and_the_slowest_device_counts(paper: Plan) -> None:
    run = paper.run(RUN)
    assumed = job_resources.training_hours(paper, run)
    assert assumed is not None
    record(paper, "fast", 0.001)
    assert job_resources.training_hours(paper, run) == pytest.approx(1.5 * 0.001 * run.recipe.images / 3600)
    record(paper, "slow", 0.002)
    assert job_resources.training_hours(paper, run) == pytest.approx(1.5 * 0.002 * run.recipe.images / 3600)


def test_a_limit_is_kept_and_training_asks_for_the_same_again(paper: Plan) -> None:
    training = stage(paper, "train", RUN)
    assert job_resources.minutes(paper, training) == job_resources.MAX_MINUTES
    assert job_resources.minutes(paper, training, longest=300) == 300
    record(paper, "fast", 1e-6)
    short = job_resources.minutes(paper, training)
    assert job_resources.SHORTEST_MINUTES <= short < 60
    assert job_resources.minutes(paper, training, attempt=3) == short


def test_a_stage_that_begins_again_gets_more_time(paper: Plan) -> None:
    scoring = stage(paper, "score", RUN)
    first = job_resources.minutes(paper, scoring)
    assert job_resources.minutes(paper, scoring, attempt=2) == 2 * first
    assert job_resources.minutes(paper, scoring, attempt=100, longest=500) == 500


@pytest.mark.parametrize("scale", ["demo", "quick", "paper"])
def test_every_stage_asks_for_something_possible(scale: str, paper: Plan) -> None:
    plan = plans.load(None, scale)
    for each in stages(plan).values():
        gpu = each.devices > 0 and plan.device != "cpu"
        assert 1024 <= job_resources.memory_mib(plan, each, gpu) <= 64 * 1024, each.key
        assert 1 <= job_resources.minutes(plan, each) <= job_resources.MAX_MINUTES, each.key
        assert job_resources.cpus(each, gpu) >= each.threads, each.key


def test_the_demo_asks_for_less_than_the_paper(paper: Plan) -> None:
    demo = plans.load(None, "demo")
    assert job_resources.minutes(demo, stage(demo, "train", RUN)) < job_resources.minutes(
        paper, stage(paper, "train", RUN)
    )
    assert job_resources.memory_mib(demo, stage(demo, "score", RUN), False) < job_resources.memory_mib(
        paper, stage(paper, "score", RUN), True
    )


@pytest.mark.parametrize(
    ("devices", "per_node", "nodes"), [(1, 8, None), (8, 8, None), (16, 8, 2), (12, 8, 2), (4, 1, 4), (16, None, None)]
)
def test_a_run_is_spread_evenly(paper: Plan, devices: int, per_node: int | None, nodes: int | None) -> None:
    found = job_resources.nodes(with_devices(paper, devices), per_node)
    assert (found.nodes if found else None) == nodes
    if found:
        assert found.tasks == devices
        assert devices % found.nodes == 0
        assert f"--ntasks-per-node={devices // found.nodes} " in found.launcher(2)


def test_cpus_are_of_one_task(paper: Plan) -> None:
    training = with_devices(paper, 16)
    threads = training.threads // 16
    assert job_resources.cpus(training, gpu=True) == 16 * (threads + 1)
    assert job_resources.cpus(training, gpu=True, devices_per_node=8) == threads + 1
    assert job_resources.cpus(training, gpu=False, devices_per_node=8) == threads
