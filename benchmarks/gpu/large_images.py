"""Step: one micro-batch of each network at 256 pixels, in eager bfloat16: time, and memory beside `transgan plan`'s."""

import torch
from train_step import peak_memory

from gpu.runs import named_run
from gpu.step import Part, Results, Step, attempt, main
from gpu.timing import device_of, seconds_of
from gpu.training_steps import changed_recipe, new_step
from transgan.cost import counts

# The pair whose augmentation filters comes last: that may take very long in eager mode.
MEASURED = (("transgan-church256", 8), ("transgan-church256", 16), ("transgan-celebahq256", 8))


def run(step: Step) -> None:
    """Measure each pair and micro-batch in a process of its own."""
    parts = [
        Part(f"{name}-{batch}", 1, micro_batch, (step.device, step.dry_run, name, batch)) for name, batch in MEASURED
    ]
    results = step.run_parts(parts)
    step.record(summary="; ".join(f"{name} {_peak(result)}" for name, result in results.items()))


def micro_batch(kind: str, dry_run: bool, name: str, batch: int) -> Results:
    """A discriminator step and a generator step of one micro-batch of `batch` images."""
    device, run = device_of(kind), named_run(name, dry_run)
    count = counts.stored_counts().get(counts.key(run))
    if count and batch == run.recipe.micro_batch:
        yield "planned_gib", count["memory_gib"]
    sizes = {"batch": batch, "generator_batch": batch, "micro_batch": None}
    step = new_step(run, changed_recipe(run, **sizes, precision="bfloat16", compile=False), device)
    trainer, inputs = step.trainer, step.random_inputs
    for network, work in (
        ("discriminator", lambda: trainer.discriminator_step(step.real, inputs.discriminator(0))),
        ("generator", lambda: trainer.generator_step(inputs.generator(0), step.real)),
    ):

        def measured(work=work) -> dict[str, float | None]:
            first = seconds_of(work, device)
            peak = peak_memory(work, device)
            return {"first_ms": 1e3 * first, "ms": 1e3 * seconds_of(work, device), "peak_gib": peak}

        yield network, attempt(measured)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _peak(result: dict[str, dict[str, float]]) -> str:
    peaks = [result.get(network, {}).get("peak_gib") for network in ("discriminator", "generator")]
    known = [peak for peak in peaks if peak is not None]
    return f"{max(known):.1f} GiB" if known else "no memory measured"


if __name__ == "__main__":
    main(run)
