"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017; docs/paper.md 3.1)."""

import torch
from torch import Tensor

from transgan.schema.recipe import Regularizer
from transgan.training.random_inputs import INTERPOLATED, DiscriminatorInputs
from transgan.training.regularizers.context import Context


def gradient_penalty(config: Regularizer, context: Context) -> Tensor:
    """Mean of (||grad D(x')|| - t)^2 / t^2, where x' lies between a real and a generated image and t is `target`."""
    assert context.real is not None
    assert context.fake is not None
    assert isinstance(context.inputs, DiscriminatorInputs)
    interpolated = torch.lerp(context.fake, context.real, context.inputs.alpha)
    gradient = context.input_gradient(interpolated, INTERPOLATED)
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    penalty: Tensor = ((norms - config.target) / config.target).square().sum() / context.batch
    return penalty
