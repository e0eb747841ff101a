"""Path length regularization of a generator with styles (Karras et al. 2020, section 3.2)."""

import torch
from torch import Tensor

from transgan.errors import UserError
from transgan.models import double_backward
from transgan.models.base import StyledGenerator
from transgan.schema.recipe import Regularizer
from transgan.training.random_inputs import GeneratorInputs
from transgan.training.regularizers.context import Context
from transgan.training.style_mixing import styles_of
from transgan.utils.square_root import sqrt


def path_length(config: Regularizer, context: Context) -> Tensor:
    """Mean of (path length - a)^2, where a is the moving average of path lengths over the steps before."""
    assert isinstance(context.inputs, GeneratorInputs)
    if len(context.inputs.z) % config.one_in:
        raise UserError(
            f"recipe: `path_length` takes one in {config.one_in} images, but {len(context.inputs.z)} pass through the "
            f"generator at once; change one_in, devices or micro_batch"
        )
    lengths = path_lengths(context, context.inputs.rows(slice(None, None, config.one_in)))
    count = context.batch / config.one_in
    context.statistics["mean"] = lengths.sum() / count
    return (lengths - context.state["mean"]).square().sum() / count


def path_lengths(context: Context, inputs: GeneratorInputs) -> Tensor:
    """How far every image moves per unit of style, (b,): |J^T y|; J = d image / d styles, y = inputs.directions.

    The square is a mean over layers. y is divided by the side, so that the length does not grow with the resolution.
    Always in float32, also under autocast. Can be differentiated once more.
    """
    generator, directions = context.generator, inputs.directions
    assert isinstance(generator, StyledGenerator)
    assert directions is not None
    with torch.autocast(inputs.z.device.type, enabled=False):
        styles = styles_of(generator, inputs)

        def projected(styles: Tensor) -> Tensor:
            with double_backward():
                images = generator.synthesize(styles, inputs.generator_noise)
            return (images * directions).sum() / directions.shape[3]

        gradient = (
            torch.func.grad(projected)(styles)
            if context.compiled
            else torch.autograd.grad(projected(styles), styles, create_graph=True)[0]
        )
        lengths: Tensor = sqrt(gradient.square().sum(2).mean(1))
        return lengths
