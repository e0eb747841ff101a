"""Measures the gradient that the released loop leaks into the discriminator, step by step, without changing training.

G's step leaves the gradient of its loss in D, and D's next step adds its own to it before it clips and updates
(docs/paper.md 3.1). Both are known for a moment: what lies in D before its backward pass, and what is there after it.
"""

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transgan.config.plan import Plan
from transgan.schema.recipe import Net
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.loop import TrainingLoop
from transgan.training.random_inputs import DiscriminatorInputs
from transgan.training.step import Terms, Trainer
from transgan.utils.console import progress


class MeasuringTrainer(Trainer):
    """A trainer that records, for every D step with a leaked gradient, how large it is and where it points.

    `records` has a dict per such step: `step`, `images`, the norms `leaked` and `own` before clipping, and `cosine`.
    """

    def __init__(self, *arguments: Any) -> None:
        """Takes what Trainer takes."""
        super().__init__(*arguments)
        self.records: list[dict[str, float]] = []
        self._leaked: Tensor | None = None

    def discriminator_step(self, real: Tensor, inputs: DiscriminatorInputs) -> None:
        """Remember the gradient that is in D, then update D as always."""
        before = [parameter.grad for parameter in self.discriminator.parameters()]
        leaked = any(gradient is not None for gradient in before)
        self._leaked = self._gradient() if leaked else None
        super().discriminator_step(real, inputs)

    def _optimizer_step(self, net: Net, total: Tensor, adversarial: bool, terms: Terms) -> None:
        if net == "discriminator" and adversarial and self._leaked is not None:
            leaked, own = self._leaked, self._gradient() - self._leaked
            norms = leaked.norm(), own.norm()
            self.records.append(
                {
                    "step": self.step,
                    "images": self.images,
                    "leaked": float(norms[0]),
                    "own": float(norms[1]),
                    "cosine": float(torch.dot(leaked, own) / (norms[0] * norms[1]).clamp_min(1e-30)),
                }
            )
            self._leaked = None
        super()._optimizer_step(net, total, adversarial, terms)

    def _gradient(self) -> Tensor:
        """The gradient in D as one vector; 0 where a parameter has none."""
        return torch.cat(
            [
                torch.zeros_like(parameter).flatten() if parameter.grad is None else parameter.grad.flatten()
                for parameter in self.discriminator.parameters()
            ]
        ).double()


def measure(plan: Plan, run: str, images: int) -> list[dict[str, float]]:
    """Train a run from the start, with its leak, and return the records of MeasuringTrainer. Nothing is written.

    It ends after so many real images, with the rates that the run has there.

    Raises UserError if the run's data are not there.
    """
    with tempfile.TemporaryDirectory() as folder:
        loop = TrainingLoop(plan, run, Path(folder))
        try:
            new = loop.trainer
            average = copy.deepcopy(new.generator_ema)
            trainer = MeasuringTrainer(loop.recipe, new.generator, new.discriminator, average, ProcessGroup())
            steps = min(-(-images // loop.recipe.batch), loop.recipe.steps)
            with progress(f"measure {run}", steps * loop.recipe.batch, "images", 0) as bar:
                while trainer.step < steps:
                    trainer.training_step(loop.loader.batch(trainer.step), loop.random_inputs)
                    bar.advance(loop.recipe.batch)
        finally:
            loop.loader.close()
    return trainer.records
