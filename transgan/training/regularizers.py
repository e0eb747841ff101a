"""Terms added to a net's loss by name: what they are given, and the registry (paper section 4; paper.md 3.1, 5).

A regularizer is a function of one `Context`, the part of a step's global batch that this device handles at once. It returns its
unweighted share of the term: shares over all parts add up to the term of the whole batch.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from transgan.errors import UserError
from transgan.models import double_backward
from transgan.models.base import StyledGenerator
from transgan.schema.recipe import Regularizer
from transgan.training.augmentation import Augmentation
from transgan.training.random_inputs import DiscriminatorInputs, GeneratorInputs
from transgan.training.style_mixing import styles_of


@dataclass
class Context:
    """What a regularizer may use. Pictures (b, 3, H, W), logits (b,); `batch` is the global batch's size, b that of this part."""

    generator: nn.Module
    discriminator: nn.Module
    augmentation: Augmentation
    inputs: DiscriminatorInputs | GeneratorInputs
    batch: int
    group: int  # pictures per batch group
    fake: Tensor | None = None
    real: Tensor | None = None
    real_logits: Tensor | None = None
    group_means: Tensor | None = (
        None  # (b,) D's mean over the group of every real picture, where groups reach beyond this part
    )
    traceable: bool = False  # the step is being compiled: gradients of gradients go through torch.func
    state: dict[str, Tensor] = field(
        default_factory=dict
    )  # moving averages of the term's statistics before this step; see REMEMBERED
    statistics: dict[str, Tensor] = field(default_factory=dict)  # this part's share of each, set by the term

    def input_gradient(self, images: Tensor, copy: int, augmented: bool = False) -> Tensor:
        """Gradient (b, 3, H, W) of D(augmented pictures) with respect to the pictures before augmentation, differentiable once more.

        In float32 whatever the autocast. `copy`: which of the step's three batches of inputs: 0 real, 1 generated, 2 interpolated.
        `augmented`: with respect to the pictures after augmentation.
        """
        noise, augment = (
            None if numbers is None else numbers[copy] for numbers in (self.inputs.noise, self.inputs.augment)
        )
        with torch.autocast(images.device.type, enabled=False):
            images = images.detach().float()
            if augmented:
                images, augment = self.augmentation(images, augment), None
            if self.traceable:
                parameters: dict[str, Tensor] = dict(self.discriminator.named_parameters())

                def total(inputs: Tensor) -> Tensor:
                    with double_backward():
                        logits: Tensor = functional_call(
                            self.discriminator, parameters, (self.augmentation(inputs, augment), noise)
                        )
                    return logits.sum()

                gradient: Tensor = torch.func.grad(total)(images)
                return gradient
            images.requires_grad_(True)
            with double_backward():
                logits = self.discriminator(self.augmentation(images, augment), noise)
            return torch.autograd.grad(logits.sum(), images, create_graph=True)[0]

    def path_lengths(self, inputs: GeneratorInputs) -> Tensor:
        """How far each picture moves per unit of style (b,): |J^T y|, J the Jacobian of the picture by the styles, y the inputs' directions.

        The square is the mean over layers; y is divided by the side, so that the length does not grow with it. In float32 whatever the
        autocast, differentiable once more.
        """
        generator, directions = self.generator, inputs.directions
        assert isinstance(generator, StyledGenerator)
        assert directions is not None
        with torch.autocast(inputs.z.device.type, enabled=False):
            styles = styles_of(generator, inputs)

            def along(styles: Tensor) -> Tensor:
                with double_backward():
                    images = generator.synthesize(styles, inputs.generator_noise)
                return (images * directions).sum() / directions.shape[3]

            gradient = (
                torch.func.grad(along)(styles)
                if self.traceable
                else torch.autograd.grad(along(styles), styles, create_graph=True)[0]
            )
            lengths: Tensor = gradient.square().sum(2).mean(1).sqrt()
            return lengths


Term = Callable[[Regularizer, Context], Tensor]


def gradient_penalty(config: Regularizer, context: Context) -> Tensor:
    """WGAN-GP on pictures between real and generated: mean of (gradient norm - target)^2 / target^2."""
    assert context.real is not None
    assert context.fake is not None
    assert isinstance(context.inputs, DiscriminatorInputs)
    images = torch.lerp(context.fake, context.real, context.inputs.alpha)
    norms = torch.linalg.vector_norm(context.input_gradient(images, 2).flatten(1), dim=1)
    penalty: Tensor = ((norms - config.target) / config.target).square().sum() / context.batch
    return penalty


def r1(config: Regularizer, context: Context) -> Tensor:
    """Mean squared gradient norm on real pictures; a weight of gamma / 2 gives the R1 of the literature."""
    assert context.real is not None
    return context.input_gradient(context.real, 0, config.augmented).square().sum() / context.batch


def drift(_: Regularizer, context: Context) -> Tensor:
    """Mean over batch groups of (D's mean on the group's real pictures)^2, which keeps D's output near 0."""
    assert context.real_logits is not None
    logits = context.real_logits
    if context.group_means is None:
        return logits.view(-1, context.group).mean(1).square().sum() * (context.group / context.batch)
    # The group's mean m is known from a pass before; m^2 has the gradient of 2 m times the mean over this part's pictures.
    means = context.group_means
    return (2 * means * (logits - logits.detach()) + means.square()).sum() / context.batch


def path_length(config: Regularizer, context: Context) -> Tensor:
    """Mean of (path length - its moving average)^2, the average being that of the steps before (Karras et al. 2020, section 3.2)."""
    assert isinstance(context.inputs, GeneratorInputs)
    if len(context.inputs.z) % config.one_in:
        raise UserError(
            f"recipe: `path_length` takes one in {config.one_in} pictures of {len(context.inputs.z)} at once; change one_in, devices or micro_batch"
        )
    lengths = context.path_lengths(context.inputs.rows(slice(None, None, config.one_in)))
    count = context.batch / config.one_in
    context.statistics["mean"] = lengths.sum() / count
    return (lengths - context.state["mean"]).square().sum() / count


# Terms by the name that params.yaml gives as `kind`.
REGULARIZERS: dict[str, Term] = {
    "gradient_penalty": gradient_penalty,
    "r1": r1,
    "drift": drift,
    "path_length": path_length,
}

# Statistics of the whole batch whose moving average a kind of term sees: what it remembers between steps and in checkpoints.
REMEMBERED: dict[str, tuple[str, ...]] = {"path_length": ("mean",)}


def measured_names(regularizers: Mapping[str, Regularizer], active: Iterable[str]) -> list[str]:
    """What the active terms measure: each its own value under its name, then its statistics."""
    return [
        column
        for name in active
        for column in (name, *(f"{name}_{key}" for key in REMEMBERED.get(regularizers[name].kind, ())))
    ]
