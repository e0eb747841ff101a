"""The drift term of ProGAN as the released code has it, which keeps D's output on real images near 0 (docs/paper.md 3.1)."""

from torch import Tensor

from transgan.schema.recipe import Regularizer
from transgan.training.regularizers.context import Context


def drift(_: Regularizer, context: Context) -> Tensor:
    """Mean over batch groups of (mean of D over the real images of the group)^2."""
    assert context.real_logits is not None
    logits = context.real_logits
    if context.group_means is None:
        return logits.view(-1, context.group).mean(1).square().sum() * (context.group / context.batch)
    # A split group: its mean m comes from an earlier pass. m^2 has the same gradient as 2 m times D's output here.
    means = context.group_means
    return (2 * means * (logits - logits.detach()) + means.square()).sum() / context.batch
