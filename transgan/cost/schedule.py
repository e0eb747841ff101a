"""When each stage would start on a number of GPUs: critical path, makespan and utilization, simulated.

List scheduling by the critical path: of the stages that could start, the one with the longest way to the end of the
graph comes first. One that needs more GPUs than are free reserves them for the earliest moment at which they will be;
others may start before it as long as they do not delay it (EASY backfilling, Lifka 1995).
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from transgan.errors import UserError
from transgan.pipeline.stages import Stage


@dataclass(frozen=True)
class Job:
    """A stage in the simulation: how long it takes, on how many GPUs, and after which other jobs."""

    name: str
    hours: float  # from start to end
    devices: int
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """What the simulation found for a number of GPUs. `start` maps every job to the hour at which it starts."""

    gpus: int
    start: Mapping[str, float]
    makespan: float  # hours from the first start to the last end
    gpu_hours: float

    @property
    def utilization(self) -> float:
        """Share of the GPUs' time until the end in which they compute, 0 to 1."""
        return self.gpu_hours / (self.gpus * self.makespan) if self.makespan else 0.0


def jobs(graph: Mapping[str, Stage], hours: Mapping[str, float]) -> list[Job]:
    """The stages of `graph` as jobs, in its order, in which each comes after those that it needs.

    `hours` maps the key of a stage to hours from start to end. A stage that it lacks takes no time and no GPU.
    """
    producer = {path: stage.key for stage in graph.values() for path in stage.outputs}
    return [
        Job(
            key,
            hours.get(key, 0.0),
            stage.devices if key in hours else 0,
            tuple(dict.fromkeys(producer[path] for path in stage.inputs if path in producer)),
        )
        for key, stage in graph.items()
    ]


def remaining_hours(jobs: Sequence[Job]) -> dict[str, float]:
    """Job -> hours from its start to the end of all that depends on it, with any number of GPUs."""
    later = {job.name: 0.0 for job in jobs}
    remaining = {}
    for job in reversed(jobs):
        remaining[job.name] = job.hours + later[job.name]
        for before in job.after:
            later[before] = max(later[before], remaining[job.name])
    return remaining


def critical_path(jobs: Sequence[Job]) -> list[Job]:
    """The longest chain of jobs, each after the previous: no number of GPUs makes the whole shorter."""
    remaining = remaining_hours(jobs)
    path: list[Job] = []
    candidates = list(jobs)
    while candidates:
        path.append(max(candidates, key=lambda job: remaining[job.name]))
        candidates = [job for job in jobs if path[-1].name in job.after]
    return path


def gpu_hours(jobs: Iterable[Job]) -> float:
    """GPU-hours of all jobs together."""
    return sum(job.hours * job.devices for job in jobs)


def simulate(jobs: Sequence[Job], gpus: int) -> Schedule:
    """Schedule `jobs`, each listed after those that it needs, on `gpus` GPUs.

    Raises UserError if a job needs more GPUs than there are.
    """
    widest = max(jobs, key=lambda job: job.devices, default=None)
    if widest is not None and widest.devices > gpus:
        raise UserError(
            f"--gpus {gpus}: {widest.name} takes {widest.devices} GPUs (`devices` in its recipe); "
            f"give at least that many"
        )
    remaining = remaining_hours(jobs)
    order = {job.name: (-remaining[job.name], position) for position, job in enumerate(jobs)}
    waits_for = {job.name: len(job.after) for job in jobs}
    followers: dict[str, list[Job]] = {job.name: [] for job in jobs}
    for job in jobs:
        for before in job.after:
            followers[before].append(job)
    ready = [job for job in jobs if not job.after]
    running: list[tuple[float, int, Job]] = []  # a heap by the hour of the end
    start: dict[str, float] = {}
    now, free, serial = 0.0, gpus, count()
    while ready or running:
        ready.sort(key=lambda job: order[job.name])
        for job in _startable(ready, running, now, free):
            start[job.name] = now
            free -= job.devices
            heapq.heappush(running, (now + job.hours, next(serial), job))
        ready = [job for job in ready if job.name not in start]
        now = running[0][0]
        while running and running[0][0] <= now:
            _, _, ended = heapq.heappop(running)
            free += ended.devices
            for job in followers[ended.name]:
                waits_for[job.name] -= 1
                if not waits_for[job.name]:
                    ready.append(job)
    return Schedule(gpus, start, now, gpu_hours(jobs))


def enough_gpus(jobs: Sequence[Job]) -> int:
    """The smallest number of GPUs found with which the makespan is the critical path: more shorten nothing."""
    shortest = sum(job.hours for job in critical_path(jobs))
    widest, together = max((job.devices for job in jobs), default=0), sum(job.devices for job in jobs)
    rounding = 1e-9  # a sum of hours in another order differs by less
    least = math.ceil(gpu_hours(jobs) / shortest * (1 - rounding)) if shortest else 1
    for gpus in range(max(1, widest, least), together):
        if simulate(jobs, gpus).makespan <= shortest * (1 + rounding):
            return gpus
    return max(1, together)


def _startable(ready: Sequence[Job], running: Iterable[tuple[float, int, Job]], now: float, free: int) -> list[Job]:
    """The jobs of `ready`, most urgent first, that start now. The first that does not fit keeps its GPUs reserved."""
    starting: list[Job] = []
    reserved: tuple[float, int] | None = None  # the hour at which the reservation begins, and GPUs that it leaves free
    for job in ready:
        if job.devices > free:
            if reserved is None:
                ends = [(end, other.devices) for end, _, other in running]
                ends += [(now + other.hours, other.devices) for other in starting]
                reserved = _earliest(job.devices, ends, free)
            continue
        if reserved is not None and now + job.hours > reserved[0]:
            if job.devices > reserved[1]:
                continue
            reserved = reserved[0], reserved[1] - job.devices
        starting.append(job)
        free -= job.devices
    return starting


def _earliest(devices: int, ends: Iterable[tuple[float, int]], free: int) -> tuple[float, int]:
    """When `devices` GPUs will be free, and how many more than those then are. `ends` are of running jobs."""
    for end, released in sorted(ends):
        free += released
        if free >= devices:
            return end, free - devices
    raise AssertionError("a job needs no more GPUs than there are")
