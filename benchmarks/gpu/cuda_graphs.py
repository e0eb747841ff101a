"""Step: eager iterations of the CIFAR-10 pair in bfloat16, without CUDA graphs and with them, at two batches.

A dry run on a CPU has no graphs and goes through the same steps.
"""

from train_step import ProductStep

from gpu.runs import named_run
from gpu.step import Part, Results, Step, main
from gpu.timing import device_of
from gpu.training_steps import CIFAR10, changed_recipe, new_step, rate
from transgan.training.cuda_graphs import CALLS_TO_RECORD, step_graphs

BATCHES = {"8 images": {"batch": 8, "generator_batch": 16}, "the recipe's batch": {}}  # 8: a share of eight GPUs


def run(step: Step) -> None:
    """Measure each batch in a process of its own."""
    parts = [Part(name, 1, without_and_with, (step.device, step.dry_run, name)) for name in BATCHES]
    results = step.run_parts(parts)
    rates = [
        f"{name}: {value['without']['images_per_second']:,.0f} without, {value['with']['images_per_second']:,.0f} with"
        for name, value in results.items()
        if "with" in value
    ]
    step.record(summary=f"images/s for {'; '.join(rates) or 'none'}")


def without_and_with(kind: str, dry_run: bool, batch: str) -> Results:
    """Rate and memory of the same step without graphs and then with them."""
    device, run = device_of(kind), named_run(CIFAR10, dry_run)
    recipe = changed_recipe(run, precision="bfloat16", compile=False, **BATCHES[batch])
    step = new_step(run, recipe, device)
    for _ in range(2):
        step.ours()
    yield "without", dict(rate(step, run, device, dry_run, None))
    use_graphs(step)
    yield "with", dict(rate(step, run, device, dry_run, None))
    yield "replays", 0 if step.trainer.graphs is None else step.trainer.graphs.replays


def use_graphs(step: ProductStep) -> None:
    """Let a step use graphs from now on, whatever its batch, and take the iterations in which they are recorded."""
    trainer = step.trainer
    networks = (trainer.generator, trainer.discriminator)
    trainer.graphs = step_graphs(True, trainer.recipe, networks, trainer.generator.resolution, 1)
    for _ in range(CALLS_TO_RECORD):  # every kind of step comes in an iteration
        step.ours()


if __name__ == "__main__":
    main(run)
