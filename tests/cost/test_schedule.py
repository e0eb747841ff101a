"""The simulation on small cases with a known answer, and what holds for every graph."""

import itertools
import random

import pytest

from tests.conftest import ROOT
from transgan.config import plan as plans
from transgan.cost import schedule
from transgan.cost.schedule import Job, critical_path, enough_gpus, gpu_hours, simulate
from transgan.errors import UserError
from transgan.pipeline.stages import stages

CHAIN = [Job("a", 1, 1), Job("b", 2, 1, ("a",)), Job("c", 3, 1, ("b",))]
FORK_JOIN = [
    Job("begin", 1, 1),
    *(Job(f"middle{i}", hours, 1, ("begin",)) for i, hours in enumerate((4, 2, 2))),
    Job("end", 1, 1, ("middle0", "middle1", "middle2")),
]


def names(path: list[Job]) -> list[str]:
    return [job.name for job in path]


def hours(path: list[Job]) -> float:
    return sum(job.hours for job in path)


@pytest.mark.parametrize("gpus", [1, 2, 100])
def test_a_chain_takes_its_sum_on_any_number(gpus: int) -> None:
    found = simulate(CHAIN, gpus)
    assert found.start == {"a": 0, "b": 1, "c": 3}
    assert found.makespan == 6
    assert found.utilization == pytest.approx(1 / gpus)
    assert names(critical_path(CHAIN)) == ["a", "b", "c"]
    assert enough_gpus(CHAIN) == 1


@pytest.mark.parametrize(("gpus", "makespan"), [(1, 10), (2, 6), (3, 6), (99, 6)])
def test_a_fork_and_join(gpus: int, makespan: float) -> None:
    found = simulate(FORK_JOIN, gpus)
    assert found.makespan == makespan
    assert found.start["middle0"] == 1  # the longest comes first
    assert names(critical_path(FORK_JOIN)) == ["begin", "middle0", "end"]
    assert enough_gpus(FORK_JOIN) == 2


def test_two_machines_share_independent_jobs_longest_first() -> None:
    """Graham's example of a longest-first schedule: 11 hours, where 9 would be possible."""
    independent = [Job(str(i), length, 1) for i, length in enumerate((3, 3, 5, 4, 4, 5, 3))]
    lengths = sorted((job.hours for job in independent), reverse=True)
    assert lengths == [5, 5, 4, 4, 3, 3, 3]
    found = simulate(independent, 3)
    assert found.makespan == 11
    assert found.utilization == pytest.approx(27 / 33)
    assert simulate([Job("p", 2, 1), Job("q", 3, 1)], 2).makespan == 3


def test_a_wide_job_is_not_kept_waiting_by_narrow_ones() -> None:
    """From hour 1 the wide job waits for both GPUs, free at hour 5: `short` ends by then, and `middle` would not."""
    narrow = [Job("long", 5, 1), Job("first", 4, 1), Job("middle", 3, 1), Job("short", 1, 1)]
    found = simulate([Job("gate", 1, 0), Job("wide", 9, 2, ("gate",)), *narrow], 2)
    assert found.start == {"gate": 0, "long": 0, "first": 0, "short": 4, "wide": 5, "middle": 14}
    assert found.makespan == 17


def test_a_job_that_takes_more_gpus_than_there_are_is_the_users_to_fix() -> None:
    with pytest.raises(UserError, match=r"--gpus 3: wide takes 4 GPUs .* at least that many"):
        simulate([Job("narrow", 1, 1), Job("wide", 1, 4)], 3)
    assert simulate([Job("narrow", 1, 1), Job("wide", 1, 4)], 4).makespan == 2
    assert enough_gpus([Job("narrow", 1, 1), Job("wide", 1, 4)]) == 5


def test_nothing_takes_no_time() -> None:
    assert (simulate([], 3).makespan, simulate([], 3).utilization, enough_gpus([]), critical_path([])) == (0, 0, 1, [])
    assert simulate([Job("table", 0, 0)], 1).utilization == 0


def some_graph(seed: int) -> list[Job]:
    """A random graph of up to 40 jobs: some take no time, some several GPUs."""
    draw = random.Random(seed)
    graph: list[Job] = []
    for i in range(draw.randint(1, 40)):
        after = draw.sample(names(graph), k=min(len(graph), draw.choice((0, 0, 1, 2, 3))))
        graph.append(Job(str(i), draw.choice((0, draw.uniform(0.1, 9))), draw.choice((0, 1, 1, 1, 2, 4)), tuple(after)))
    return graph


@pytest.mark.parametrize("seed", range(60))
def test_what_holds_for_every_graph(seed: int) -> None:
    graph = some_graph(seed)
    by_name = {job.name: job for job in graph}
    shortest, work, widest = hours(critical_path(graph)), gpu_hours(graph), max(job.devices for job in graph)
    bounds = []
    for gpus in (max(widest, 1), widest + 1, widest + 3, 200):
        found = simulate(graph, gpus)
        assert set(found.start) == set(by_name)
        for job in graph:
            assert all(found.start[job.name] >= found.start[name] + by_name[name].hours - 1e-9 for name in job.after)
        for moment in found.start.values():  # the number of busy GPUs changes at starts only upwards
            busy = [j for j in graph if found.start[j.name] <= moment + 1e-9 < found.start[j.name] + j.hours]
            assert sum(job.devices for job in busy) <= gpus
        assert found.makespan == pytest.approx(max(found.start[job.name] + job.hours for job in graph))
        bounds.append(max(shortest, work / gpus))
        # A job waits only while fewer GPUs are free than the widest takes, so chains advance at all other times.
        assert bounds[-1] - 1e-9 <= found.makespan <= work / (gpus - max(widest, 1) + 1) + shortest + 1e-9
        assert 0 <= found.utilization <= 1 + 1e-9
    assert bounds == sorted(bounds, reverse=True)  # more GPUs promise no longer time
    assert found.makespan == pytest.approx(shortest)
    enough = enough_gpus(graph)
    assert simulate(graph, enough).makespan == pytest.approx(shortest)
    assert enough >= work / shortest - 1e-6 if shortest else enough == max(1, widest)


def test_the_critical_path_is_a_chain_and_no_chain_is_longer() -> None:
    for seed in range(20):
        graph = some_graph(seed)[:9]
        path = critical_path(graph)
        assert all(before.name in after.after for before, after in itertools.pairwise(path))
        chains = (c for n in range(1, len(graph) + 1) for c in itertools.combinations(graph, n))
        longest = max(
            hours(list(chain)) for chain in chains if all(a.name in b.after for a, b in itertools.pairwise(chain))
        )
        assert hours(path) == pytest.approx(longest)


@pytest.mark.parametrize("scale", ["demo", "quick", "paper"])
def test_the_jobs_of_a_scale_are_its_stages_in_an_order_in_which_they_can_run(scale: str) -> None:
    plan = plans.load(ROOT / "params.yaml", scale)
    graph = stages(plan)
    found = schedule.jobs(graph, {f"train@{name}": 2.0 for name in plan.scheduled_runs})
    assert names(found) == list(graph)
    seen: set[str] = set()
    for job in found:
        assert seen.issuperset(job.after)
        seen.add(job.name)
        assert (job.hours, job.devices) == ((2.0, 1) if job.name.startswith("train@") else (0.0, 0))
    run = next(iter(plan.scheduled_runs.values()))
    after = {job.name: set(job.after) for job in found}
    assert {f"prepare@{run.dataset_name}", f"reference@{run.reference}"} <= after[f"train@{run.name}"]
    assert f"train@{run.name}" in after[f"score@{run.name}"]
    assert simulate(found, len(plan.scheduled_runs)).makespan == 2
    assert simulate(found, 1).makespan == 2 * len(plan.scheduled_runs)
