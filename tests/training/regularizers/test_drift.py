"""The drift term per batch group."""

import pytest
import torch

from tests.training.regularizers.contexts import discriminator_context
from transgan.schema.recipe import Regularizer
from transgan.training.regularizers import REGULARIZERS


def test_drift_is_per_batch_group_also_when_groups_are_split():
    real = torch.stack([torch.full((3, 4, 4), value) for value in (0.1, 0.2, 0.3, 0.4)])
    drift = REGULARIZERS["drift"]
    whole = discriminator_context(real, real, 0.5, group=2)
    logits = whole.real_logits.detach()
    value = drift(Regularizer(kind="drift", weight=1), whole)
    assert value.item() == pytest.approx((logits[:2].mean() ** 2 + logits[2:].mean() ** 2).item() / 2)
    value.backward()
    split = discriminator_context(real, real, 0.5, group=2, group_means=logits.view(2, 2).mean(1).repeat_interleave(2))
    again = drift(Regularizer(kind="drift", weight=1), split)
    again.backward()
    assert again.item() == pytest.approx(value.item())
    assert split.discriminator.weight.grad.item() == pytest.approx(whole.discriminator.weight.grad.item(), rel=1e-5)
