"""Adversarial losses (paper section 4; docs/paper.md 3.1, 5): one term per image, so that micro-batches add up."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

Term = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class AdversarialLoss:
    """What logits (B,) cost, each term (B,): D's on real and on generated pictures, G's on generated ones."""

    d_real: Term
    d_fake: Term
    g_fake: Term


LOSSES: dict[str, AdversarialLoss] = {
    "wasserstein": AdversarialLoss(lambda x: -x, lambda x: x, lambda x: -x),
    "hinge": AdversarialLoss(lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), lambda x: -x),
    "non_saturating": AdversarialLoss(lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x)),
    "least_squares": AdversarialLoss(lambda x: (x - 1).square(), lambda x: x.square(), lambda x: (x - 1).square()),
}
