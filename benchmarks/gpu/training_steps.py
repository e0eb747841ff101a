"""Measures this project's training step: images per second, memory, kernels. Shared by three steps of a session."""

import math
import statistics
from collections.abc import Iterable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from train_step import ProductStep, peak_memory

from gpu.runs import named_run
from gpu.step import Results
from gpu.timing import device_of, seconds_of, synchronize
from transgan.config.plan import Run
from transgan.cost import counts
from transgan.hardware.device import set_precision
from transgan.schema import RecipeConfig
from transgan.utils.torch_private import load_dynamo

load_dynamo()  # seconds in each part of the session, if not before it is forked

ITERATIONS, DRY_ITERATIONS = 5, 1
KERNELS = 25  # listed of a profile
CIFAR10 = "transgan-cifar10"


def changed_recipe(run: Run, **changes: Any) -> RecipeConfig:
    """The run's recipe for one device, with changes; a batch group divides both batches."""
    recipe = run.recipe.model_copy(update={"devices": 1, **changes})
    if recipe.batch_group == 0:
        return recipe
    group = math.gcd(recipe.batch_group, recipe.batch, recipe.generator_batch)
    return recipe.model_copy(update={"batch_group": group})


def new_step(run: Run, recipe: RecipeConfig, device: torch.device) -> ProductStep:
    """A step whose initial weights and random numbers are always the same, in the recipe's precision."""
    set_precision(recipe.precision)
    torch.manual_seed(0)
    return ProductStep(run, recipe, device)


def eager_rate(kind: str, dry_run: bool, precision: str, ceiling: float | None) -> Results:
    """Rate and memory of eager iterations at a precision. `ceiling`: TFLOP/s of matrix products at it, if measured."""
    device, run = device_of(kind), named_run(CIFAR10, dry_run)
    step = new_step(run, changed_recipe(run, precision=precision, compile=False), device)
    yield "first_iteration_seconds", seconds_of(step.ours, device)
    step.ours()
    yield from rate(step, run, device, dry_run, ceiling)


def eager_profile(kind: str, dry_run: bool) -> Results:
    """Kernels of a discriminator step and a generator step in bfloat16."""
    device, run = device_of(kind), named_run(CIFAR10, dry_run)
    step = new_step(run, changed_recipe(run, precision="bfloat16", compile=False), device)
    for _ in range(2):
        step.ours()
    yield from profile(step, device).items()


def rate(step: ProductStep, run: Run, device: torch.device, dry_run: bool, ceiling: float | None) -> Results:
    """Images per second, TFLOP/s, its share of `ceiling`, and peak GiB of iterations of a step that is warm."""
    iterations = DRY_ITERATIONS if dry_run else ITERATIONS
    seconds = statistics.median(seconds_of(step.ours, device) for _ in range(iterations))
    images = step.recipe.batch * step.recipe.n_critic / seconds
    yield "seconds_per_iteration", seconds
    yield "images_per_second", images
    count = counts.stored_counts().get(counts.key(run))
    if count:
        tflops = images * count["gflop_per_image"] / 1e3
        yield "tflops", tflops
        if ceiling:
            yield "share_of_matrix_product_rate", tflops / ceiling
    yield "peak_gib", peak_memory(step.ours, device)


def profile(step: ProductStep, device: torch.device) -> dict[str, Any]:
    """Launches, busy and idle time of a discriminator step and a generator step, and the kernels that take most of it.

    On a CPU the innermost operators stand for kernels.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with torch.profiler.profile(activities=activities) as profiler:
        step.step()  # both, because a whole number of iterations came before
        synchronize(device)
    kernels = [
        (event.name, event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if (
            event.device_type == DeviceType.CUDA
            # Ranges that the host has marked, such as "Optimizer.step", span the kernels inside.
            and not getattr(event, "is_user_annotation", False)
            and not event.name.startswith(("Optimizer.", "ProfilerStep"))
            if on_gpu
            else not event.cpu_children
        )
    ]
    return summarize(kernels)


def summarize(kernels: Iterable[tuple[str, float, float]]) -> dict[str, Any]:
    """What kernels, given as (name, start, end) in microseconds, took together and by name."""
    ordered = sorted(kernels, key=lambda kernel: kernel[1])
    if not ordered:
        return {"launches": 0}
    busy, reached = 0.0, ordered[0][1]
    totals: dict[str, tuple[int, float]] = {}
    for name, start, end in ordered:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
        count, microseconds = totals.get(name, (0, 0.0))
        totals[name] = (count + 1, microseconds + end - start)
    span = reached - ordered[0][1]
    longest = sorted(totals.items(), key=lambda item: -item[1][1])[:KERNELS]
    return {
        "launches": len(ordered),
        "span_ms": span / 1e3,
        "busy_ms": busy / 1e3,
        "idle_share": 1 - busy / span if span else 0.0,
        "kernels": [
            {"name": name[:120], "count": count, "ms": microseconds / 1e3} for name, (count, microseconds) in longest
        ],
    }
