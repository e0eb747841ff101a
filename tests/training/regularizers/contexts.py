"""Contexts for the tests of regularizers, whose values and gradients are known."""

import torch
from torch import nn

from transgan.training.augmentation import Augmentation
from transgan.training.random_inputs import DiscriminatorInputs, GeneratorInputs
from transgan.training.regularizers.context import Context


class Squares(nn.Module):
    """D(x) = weight * sum of x^2 / 2, whose gradient is weight * x."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        return self.weight * images.square().flatten(1).sum(1) / 2


def discriminator_context(real: torch.Tensor, fake: torch.Tensor, alpha: float, group: int = 0, **changes) -> Context:
    """One micro-batch for `Squares`, with images interpolated by `alpha`."""
    discriminator = Squares()
    inputs = DiscriminatorInputs(torch.zeros(len(real), 1), torch.full((len(real), 1, 1, 1), alpha))
    return Context(
        generator=nn.Identity(),
        discriminator=discriminator,
        augmentation=Augmentation([], 4, 0.3),
        inputs=inputs,
        batch=len(real),
        group=group or len(real),
        fake=fake,
        real=real,
        real_logits=discriminator(real),
        **changes,
    )


def generator_context(generator: nn.Module, inputs: GeneratorInputs, state: float = 0.0, **changes) -> Context:
    """One micro-batch of a generator; `state` is the moving average of its path lengths."""
    return Context(
        generator=generator,
        discriminator=torch.nn.Identity(),
        augmentation=Augmentation([], 4, 0.3),
        inputs=inputs,
        batch=len(inputs.z),
        group=len(inputs.z),
        state={"mean": torch.tensor(state)},
        **changes,
    )
