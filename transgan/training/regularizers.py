"""Terms added to a net's loss by name: what they are given, and the registry (paper section 4; paper.md 3.1, 5).

A regularizer is a function of one `Context`, the part of a step's global batch that this device handles at once. It returns its
unweighted share of the term: shares over all parts add up to the term of the whole batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from transgan.models import double_backward
from transgan.schema.recipe import Regularizer
from transgan.training.augmentation import Augmentation
from transgan.training.draws import DiscriminatorDraws, GeneratorDraws


def _alone(value: Tensor) -> Tensor:
    return value


@dataclass
class Context:
    """What a regularizer may use. Pictures (b, 3, H, W), logits (b,); `batch` is the global batch's size, b that of this part."""

    generator: nn.Module
    discriminator: nn.Module
    augmentation: Augmentation
    draws: DiscriminatorDraws | GeneratorDraws
    batch: int
    group: int  # pictures per batch group
    fake: Tensor
    real: Tensor | None = None
    real_logits: Tensor | None = None
    group_means: Tensor | None = None  # (b,) D's mean over the group of every real picture, where groups reach beyond this part
    traceable: bool = False  # the step is being compiled: gradients of gradients go through torch.func
    state: dict[str, Tensor] = field(default_factory=dict)  # kept between steps and in checkpoints, changed in place
    mean_over_devices: Callable[[Tensor], Tensor] = field(default=_alone)

    def input_gradient(self, images: Tensor, copy: int) -> Tensor:
        """Gradient (b, 3, H, W) of D(augmented pictures) with respect to the pictures before augmentation, differentiable once more.

        In float32 whatever the autocast. `copy`: which of the step's three batches of draws: 0 real, 1 generated, 2 interpolated.
        """
        noise, augment = (None if numbers is None else numbers[copy] for numbers in (self.draws.noise, self.draws.augment))
        with torch.autocast(images.device.type, enabled=False):
            images = images.detach().float()
            if self.traceable:
                parameters: dict[str, Tensor] = dict(self.discriminator.named_parameters())

                def total(inputs: Tensor) -> Tensor:
                    with double_backward():
                        logits: Tensor = functional_call(self.discriminator, parameters, (self.augmentation(inputs, augment), noise))
                    return logits.sum()

                gradient: Tensor = torch.func.grad(total)(images)
                return gradient
            images.requires_grad_(True)
            with double_backward():
                logits = self.discriminator(self.augmentation(images, augment), noise)
            return torch.autograd.grad(logits.sum(), images, create_graph=True)[0]


Term = Callable[[Regularizer, Context], Tensor]


def gradient_penalty(config: Regularizer, context: Context) -> Tensor:
    """WGAN-GP on pictures between real and generated: mean of (gradient norm - target)^2 / target^2."""
    assert context.real is not None
    assert isinstance(context.draws, DiscriminatorDraws)
    images = torch.lerp(context.fake, context.real, context.draws.alpha)
    norms = torch.linalg.vector_norm(context.input_gradient(images, 2).flatten(1), dim=1)
    penalty: Tensor = ((norms - config.target) / config.target).square().sum() / context.batch
    return penalty


def r1(_: Regularizer, context: Context) -> Tensor:
    """Mean squared gradient norm on real pictures; a weight of gamma / 2 gives the R1 of the literature."""
    assert context.real is not None
    return context.input_gradient(context.real, 0).square().sum() / context.batch


def drift(_: Regularizer, context: Context) -> Tensor:
    """Mean over batch groups of (D's mean on the group's real pictures)^2, which keeps D's output near 0."""
    assert context.real_logits is not None
    logits = context.real_logits
    if context.group_means is None:
        return logits.view(-1, context.group).mean(1).square().sum() * (context.group / context.batch)
    # The group's mean m is known from a pass before; m^2 has the gradient of 2 m times the mean over this part's pictures.
    means = context.group_means
    return (2 * means * (logits - logits.detach()) + means.square()).sum() / context.batch


# Path-length and other terms register themselves here by the name params.yaml gives as `kind`.
REGULARIZERS: dict[str, Term] = {"gradient_penalty": gradient_penalty, "r1": r1, "drift": drift}
