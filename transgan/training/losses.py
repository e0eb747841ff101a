"""Adversarial losses by name (docs/paper.md 3.1 and 5).

Each gives one value per image, so the sums over the micro-batches of a batch add up to its mean, however it is split.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

Term = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class AdversarialLoss:
    """D's loss on real and on generated images, and G's loss on generated images: logits (B,) -> losses (B,)."""

    d_real: Term
    d_fake: Term
    g_fake: Term


LOSSES: dict[str, AdversarialLoss] = {
    "wasserstein": AdversarialLoss(lambda x: -x, lambda x: x, lambda x: -x),
    "hinge": AdversarialLoss(lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), lambda x: -x),
    "non_saturating": AdversarialLoss(lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x)),
    "least_squares": AdversarialLoss(lambda x: (x - 1).square(), lambda x: x.square(), lambda x: (x - 1).square()),
}
