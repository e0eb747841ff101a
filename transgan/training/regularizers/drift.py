"""The drift term, which keeps D's output on real images near 0 (ProGAN; here as released: docs/paper.md 3.1)."""

from torch import Tensor

from transgan.schema.recipe import Regularizer
from transgan.training.regularizers.context import Context


def drift(_: Regularizer, context: Context) -> Tensor:
    """Mean over batch groups of (mean of D over the real images of the group)^2."""
    assert context.real_logits is not None
    logits = context.real_logits
    if context.group_means is None:
        return logits.view(-1, context.group).mean(1).square().sum() * (context.group / context.batch)
    # A group that is split: its mean m comes from an earlier pass without gradients. Its value is m^2. The gradient of
    # m^2 is that of 2 m D(x) / n, summed over the group's n images.
    means = context.group_means
    return (2 * means * (logits - logits.detach()) + means.square()).sum() / context.batch
