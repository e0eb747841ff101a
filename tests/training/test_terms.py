"""Losses, regularizers and the moving average against numbers worked out by hand."""

import copy

import pytest
import torch
from torch import nn

from transgan.schema.recipe import EmaConfig, Regularizer
from transgan.training.augmentation import Augmentation
from transgan.training.ema import ema_beta, update_ema
from transgan.training.losses import LOSSES
from transgan.training.meter import Meter
from transgan.training.random_inputs import DiscriminatorInputs, normalized
from transgan.training.regularizers import REGULARIZERS, Context


class Squares(nn.Module):
    """D(x) = weight * sum of x^2 / 2, whose gradient is weight * x."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        return self.weight * images.square().flatten(1).sum(1) / 2


def context(real: torch.Tensor, fake: torch.Tensor, alpha: float, group: int = 0, **changes) -> Context:
    discriminator = Squares()
    inputs = DiscriminatorInputs(torch.zeros(len(real), 1), torch.full((len(real), 1, 1, 1), alpha))
    return Context(
        generator=nn.Identity(),
        discriminator=discriminator,
        augmentation=Augmentation([], 4, 0.3),
        inputs=inputs,
        batch=len(real),
        group=group or len(real),
        fake=fake,
        real=real,
        real_logits=discriminator(real),
        **changes,
    )


def test_losses():
    x = torch.tensor([-2.0, 0.0, 3.0])
    expected = {
        "wasserstein": ([2, 0, -3], [-2, 0, 3], [2, 0, -3]),
        "hinge": ([3, 1, 0], [0, 1, 4], [2, 0, -3]),
        "least_squares": ([9, 1, 4], [4, 0, 9], [9, 1, 4]),
        "non_saturating": (
            [2.126928, 0.693147, 0.048587],
            [0.126928, 0.693147, 3.048587],
            [2.126928, 0.693147, 0.048587],
        ),
    }
    assert set(expected) == set(LOSSES)
    for name, (d_real, d_fake, g_fake) in expected.items():
        loss = LOSSES[name]
        for term, values in ((loss.d_real, d_real), (loss.d_fake, d_fake), (loss.g_fake, g_fake)):
            torch.testing.assert_close(term(x), torch.tensor(values, dtype=torch.float32), atol=1e-5, rtol=0)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradient_penalty_and_r1(compiled):
    real, fake = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), -0.1)
    part = context(real, fake, 0.75, compiled=compiled)
    norm = 2 * 0.35 * 48**0.5  # weight x the picture three quarters of the way to the real one
    penalty = REGULARIZERS["gradient_penalty"](Regularizer(kind="gradient_penalty", weight=10, target=2), part)
    assert penalty.item() == pytest.approx((norm / 2 - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert part.discriminator.weight.grad.item() == pytest.approx((norm / 2 - 1) * norm / 2, rel=1e-4)
    value = REGULARIZERS["r1"](Regularizer(kind="r1", weight=1), part)
    assert value.item() == pytest.approx(48, rel=1e-5)


def test_drift_is_per_group_and_the_same_when_a_group_is_split():
    real = torch.stack([torch.full((3, 4, 4), value) for value in (0.1, 0.2, 0.3, 0.4)])
    drift = REGULARIZERS["drift"]
    whole = context(real, real, 0.5, group=2)
    logits = whole.real_logits.detach()
    value = drift(Regularizer(kind="drift", weight=1), whole)
    assert value.item() == pytest.approx((logits[:2].mean() ** 2 + logits[2:].mean() ** 2).item() / 2)
    value.backward()
    split = context(real, real, 0.5, group=2, group_means=logits.view(2, 2).mean(1).repeat_interleave(2))
    again = drift(Regularizer(kind="drift", weight=1), split)
    again.backward()
    assert again.item() == pytest.approx(value.item())
    assert split.discriminator.weight.grad.item() == pytest.approx(whole.discriminator.weight.grad.item(), rel=1e-5)


def test_ema_beta_as_released_and_as_intended():
    released = EmaConfig(kimg=500, warmup=0.1)
    assert ema_beta(released, 64, 4, 0) == 0
    assert ema_beta(released, 64, 4, 6400) == pytest.approx(0.5 ** (64 / 640))
    assert ema_beta(released, 64, 4, 10**9) == pytest.approx(0.999911, abs=1e-6)
    intended = EmaConfig(kimg=500, warmup=0.1, semantics="intended")
    assert ema_beta(intended, 64, 4, 10**9) == pytest.approx(ema_beta(released, 64, 4, 10**9) ** 4)
    assert ema_beta(EmaConfig(beta=0.995), 64, 4, 0) == 0.995
    assert ema_beta(EmaConfig(kimg=1), 500, 1, 0) == pytest.approx(0.5**0.5)


def test_ema_averages_parameters_and_copies_buffers():
    module = nn.BatchNorm1d(3)
    average = copy.deepcopy(module)
    with torch.no_grad():
        module.weight.fill_(3.0)
        module.running_mean.fill_(7.0)
    update_ema(average, module, 0.75)
    assert average.weight.tolist() == [1.5] * 3
    assert average.running_mean.tolist() == [7.0] * 3


def test_normalized_latents_have_unit_root_mean_square():
    z = normalized(torch.randn(5, 64, generator=torch.Generator().manual_seed(0)) * 3)
    torch.testing.assert_close(z.square().mean(1), torch.ones(5))


def test_meter_means_survive_a_checkpoint():
    meter = Meter()
    meter.add(("a", "b"), torch.tensor([1.0, 2.0]))
    again = Meter()
    again.restore(meter.state(), torch.device("cpu"))
    for one in (meter, again):
        one.add(("a", "b"), torch.tensor([3.0, 6.0]))
        one.add(("a",), torch.tensor([5.0]))
        assert one.means() == {"a": 3.0, "b": 4.0}
    meter.clear()
    assert meter.means() == {}
