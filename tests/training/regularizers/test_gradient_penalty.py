"""Gradient penalty and R1 of discriminators whose gradients are known."""

import pytest
import torch

from tests.training.regularizers.contexts import discriminator_context, generator_context
from transgan.schema.recipe import Regularizer
from transgan.training.augmentation import Augmentation
from transgan.training.random_inputs import DiscriminatorInputs
from transgan.training.regularizers import REGULARIZERS


@pytest.mark.parametrize("compiled", [False, True])
def test_gradient_penalty_and_r1(compiled):
    real, fake = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), -0.1)
    part = discriminator_context(real, fake, 0.75, compiled=compiled)
    norm = 2 * 0.35 * 48**0.5  # weight * the norm of the interpolated image, 0.35 in every value
    penalty = REGULARIZERS["gradient_penalty"](Regularizer(kind="gradient_penalty", weight=10, target=2), part)
    assert penalty.item() == pytest.approx((norm / 2 - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert part.discriminator.weight.grad.item() == pytest.approx((norm / 2 - 1) * norm / 2, rel=1e-4)
    value = REGULARIZERS["r1"](Regularizer(kind="r1", weight=1), part)
    assert value.item() == pytest.approx(48, rel=1e-5)


def test_r1_of_a_quadratic_discriminator_before_and_after_augmentation():
    class Quadratic(torch.nn.Module):
        def forward(self, images, noise=None):
            return images.square().flatten(1).sum(1) / 2

    augmentation = Augmentation(["diffaug_color"], 4, 0.3)
    real, numbers = torch.randn(3, 3, 4, 4), torch.rand(3, 3, 3)
    inputs = DiscriminatorInputs(torch.zeros(3, 1), torch.zeros(3, 1, 1, 1), augment=numbers)
    part = generator_context(torch.nn.Identity(), inputs, real=real)
    part.discriminator, part.augmentation = Quadratic(), augmentation
    augmented = augmentation(real, numbers[0])
    value = REGULARIZERS["r1"](Regularizer(kind="r1", weight=1.0, augmented=True), part)
    torch.testing.assert_close(value, augmented.square().sum() / 3)  # the gradient of |x|^2 / 2 is x
    inputs = real.clone().requires_grad_(True)
    gradient = torch.autograd.grad(augmentation(inputs, numbers[0]).square().sum() / 2, inputs)[0]
    torch.testing.assert_close(
        REGULARIZERS["r1"](Regularizer(kind="r1", weight=1.0), part), gradient.square().sum() / 3
    )
