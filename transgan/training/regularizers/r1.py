"""R1: the gradient penalty on real images alone (Mescheder et al. 2018), as StyleGAN2 uses it."""

from torch import Tensor

from transgan.schema.recipe import Regularizer
from transgan.training.random_inputs import REAL
from transgan.training.regularizers.context import Context


def r1(config: Regularizer, context: Context) -> Tensor:
    """Mean of ||grad D(x)||^2 over real images x. The literature's R1 with gamma has the weight gamma / 2."""
    assert context.real is not None
    return context.input_gradient(context.real, REAL, config.augmented).square().sum() / context.batch
