"""Super-resolution co-training of G, an auxiliary task of the paper's first version (docs/paper.md 1.6, 4.8)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from transgan.models.base import GeneratorNetwork
from transgan.schema.recipe import Regularizer
from transgan.training.regularizers.context import Context


def super_resolution(_: Regularizer, context: Context) -> Tensor:
    """Mean over real images x and their pixels of (G(x') - x)^2, where x' is x reduced to G's first stage.

    Each pixel of x' is the mean of a square of x. The images are those of the discriminator step before, unaugmented.
    The loss is computed in float32, also under autocast.
    """
    real, generator = context.real, context.generator
    assert real is not None
    assert isinstance(generator, GeneratorNetwork)
    if not len(real):  # more micro-batches than real images
        return torch.zeros((), device=real.device)
    reduced = F.avg_pool2d(real, real.shape[3] // generator.image_side)
    with torch.autocast(real.device.type, torch.bfloat16, enabled=context.bfloat16):
        images = generator.super_resolve(reduced)
    return (images.float() - real).square().sum() / (context.real_batch * real[0].numel())
