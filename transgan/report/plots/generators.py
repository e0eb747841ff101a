"""Trained generators, for the figures that look into them. Imports torch, which the figures of curves do not need."""

from transgan.config.plan import Plan
from transgan.hardware.device import prepare_compute
from transgan.models.base import GeneratorNetwork
from transgan.models.serialization import load_generator
from transgan.report.plots.sources import existing


def trained_generator(plan: Plan, run: str) -> GeneratorNetwork:
    """The moving average of a run's generator, in evaluation mode on the CPU.

    It computes with one thread, so that a figure has the same bytes each time. Raises UserError for an untrained run.
    """
    prepare_compute(threads=1, device="cpu")
    return load_generator(existing(plan, plan.paths.run(run) / "generator.safetensors", run)).module


def stage_title(layer: str) -> str:
    """`stages.1.blocks.0.attention` -> `stage 2`."""
    return f"stage {int(layer.split('.')[1]) + 1}"
