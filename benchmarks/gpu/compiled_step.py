"""Step: the CIFAR-10 pair's compiled iterations in bfloat16, and the plain loop's for the ratio.

A dry run captures graphs only, because to differentiate them and to generate code takes minutes.
"""

import contextlib
import functools
import statistics
from unittest import mock

import torch
from train_step import Pair

from gpu.cuda_graphs import use_graphs
from gpu.runs import named_run
from gpu.step import Part, Results, Step, main
from gpu.timing import device_of, seconds_of
from gpu.training_steps import CIFAR10, changed_recipe, new_step, profile, rate

PLAIN_ITERATIONS = 2


def run(step: Step) -> None:
    """Measure both, each in a process of its own."""
    products = step.earlier("ceilings").get("parts", {}).get("products", {}).get("results", {})
    ceiling = max(products.get("bfloat16", {}).values(), default=None)
    arguments = (step.device, step.dry_run)
    results = step.run_parts(
        [Part("compiled", 5, compiled, (*arguments, ceiling)), Part("plain", 1, plain_loop, arguments)]
    )
    eager = step.earlier("eager_step").get("parts", {}).get("bfloat16", {}).get("results", {})
    rates = {"compiled": results["compiled"], "eager": eager, "plain": results["plain"]}
    seconds = {name: value.get("seconds_per_iteration") for name, value in rates.items()}
    ratios = {
        name: seconds["plain"] / seconds[name] for name in ("compiled", "eager") if seconds[name] and seconds["plain"]
    }
    step.record(ratio_to_plain_loop=ratios)
    step.record(
        summary=f"images/s: compiled {results['compiled'].get('images_per_second', 0):,.0f}; times the plain loop: "
        + (", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items()) or "not measured")
    )


def compiled(kind: str, dry_run: bool, ceiling: float | None) -> Results:
    """Seconds to compile, losses beside those of an eager step on the same random numbers, rate, memory, kernels.

    Last the rate with CUDA graphs of the compiled losses.
    """
    device, run = device_of(kind), named_run(CIFAR10, dry_run)
    eager = new_step(run, changed_recipe(run, precision="bfloat16", compile=False), device)
    eager.step()
    expected = eager.trainer.meter.means()
    del eager
    only_captured = functools.partial(torch.compile, backend="eager")
    with mock.patch.object(torch, "compile", only_captured) if dry_run else contextlib.nullcontext():
        step = new_step(run, changed_recipe(run, precision="bfloat16", compile=True), device)
        yield "compile_seconds", seconds_of(step.step, device)  # both losses, which are compiled at their first call
    measured = step.trainer.meter.means()
    yield "losses", {name: {"eager": expected[name], "compiled": measured[name]} for name in ("d_loss", "g_loss")}
    for _ in range(2 * run.recipe.n_critic - 1):  # to the end of the second iteration
        step.step()
    yield from rate(step, run, device, dry_run, ceiling)
    yield "profile", profile(step, device)
    for _ in range(run.recipe.n_critic - 1):  # to the end of the iteration that the profile began
        step.step()
    use_graphs(step)
    yield "with_graphs", dict(rate(step, run, device, dry_run, ceiling))


def plain_loop(kind: str, dry_run: bool) -> Results:
    """Seconds per iteration of the plain loop of benchmarks/train_step.py, in float32."""
    device, run = device_of(kind), named_run(CIFAR10, dry_run)
    pair = Pair(run, changed_recipe(run, compile=False), device)
    yield "first_iteration_seconds", seconds_of(pair.released, device)
    iterations = 1 if dry_run else PLAIN_ITERATIONS
    seconds = statistics.median(seconds_of(pair.released, device) for _ in range(iterations))
    yield "seconds_per_iteration", seconds
    yield "images_per_second", run.recipe.batch * run.recipe.n_critic / seconds


if __name__ == "__main__":
    main(run)
