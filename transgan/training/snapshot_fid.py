"""FID of few samples along training: the run's own protocol and reference, with `recipe.dynamics.fid_samples` pictures of one seed."""

from collections.abc import Callable

from torch import nn

from transgan.config.plan import Plan, Run


def small_fid(plan: Plan, run: Run) -> Callable[[nn.Module], float] | None:
    """A function from a generator in evaluation mode to its small-n FID; None where the recipe asks for none.

    Few samples bias FID upwards: the values compare points of curves made alike, not runs with the paper.
    """
    count = run.recipe.dynamics.fid_samples
    if not count:
        return None
    protocol = run.protocol.model_copy(
        update={
            "metrics": ("fid",),
            "samples": count,
            "seeds": run.protocol.seeds[:1],
            "allow_few_samples": True,
            "fid_counts": (),
            "threads": run.recipe.threads,  # measuring sets the threads of the process, which go on training afterwards
        }
    )

    def fid(generator: nn.Module) -> float:
        from transgan.hardware.device import set_precision
        from transgan.metrics import samples, weights
        from transgan.metrics.evaluator import measure
        from transgan.scoring import reference

        path, _ = weights.locate(plan, protocol)
        against = reference.load(plan.paths.reference(run.dataset_name, run.protocol_name))
        found = measure(
            plan, protocol, samples.sources(generator, protocol), against, path, f"train {run.name}: small-n FID"
        )
        set_precision(run.recipe.precision)  # measuring has set its own
        return float(found["metrics"]["fid"]["values"][0])

    return fid
