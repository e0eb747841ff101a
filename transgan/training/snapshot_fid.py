"""FID along training, under the run's own protocol and against its own reference."""

from collections.abc import Callable

import torch
from torch import nn

from transgan.config.plan import Plan, Run
from transgan.hardware.device import float32_precision
from transgan.metrics import weights


def small_fid(plan: Plan, run: Run, device: torch.device) -> Callable[[nn.Module], float] | None:
    """A function that computes the FID of `dynamics.fid_samples` samples on `device`; None if the recipe asks for none.

    Few samples bias FID upwards: such values compare points of curves with the same number of samples, not runs with
    the paper. With as many samples as the protocol has, the values are those of the stage `score`.
    """
    count = run.recipe.dynamics.fid_samples
    if not count:
        return None
    # Imported here because most runs record no FID, and torch-fidelity takes seconds to import.
    from transgan.metrics.evaluator import evaluate_sources, generator_sources
    from transgan.metrics.reference_statistics import load_reference

    protocol = run.protocol.model_copy(
        update={
            "metrics": ("fid",),
            "samples": count,
            "seeds": run.protocol.seeds[:1],
            "allow_few_samples": True,
            "fid_counts": (),
        }
    )

    def fid(generator: nn.Module) -> float:
        weights_file, _ = weights.locate(plan, protocol)
        reference = load_reference(plan.paths.reference(run.reference))
        sources = generator_sources(generator, protocol)
        with float32_precision():  # as in the stage `score`, also where the recipe trains in another precision
            evaluation = evaluate_sources(
                sources, reference, protocol, weights_file, device, f"train {run.name}: small-n FID"
            )
        return float(evaluation["metrics"]["fid"]["values"][0])

    return fid
