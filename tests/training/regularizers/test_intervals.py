"""Which network a regularizer belongs to, lazy regularization, and separate optimizer steps."""

import pytest
import torch

from tests.training.styled import REGULARIZERS, Training, recipe
from transgan.schema.recipe import Regularizer


def test_impossible_regularizers_are_refused():
    for mistake in (
        {"net": "discriminator"},
        {"kind": "r1"},
        {"kind": "drift", "net": "discriminator", "own_step": True},
    ):
        with pytest.raises(ValueError, match=r"is a term of the|cannot have an `own_step`"):
            Regularizer.model_validate({"kind": "path_length", "net": "generator", "weight": 1.0, **mistake})
    with pytest.raises(ValueError, match="must divide a device's share of generator_batch"):
        recipe(generator_batch=7)


def test_own_steps_correct_adam():
    config = recipe(
        regularizers={"r1": {**REGULARIZERS["r1"], "interval": 16}, "path": {**REGULARIZERS["path"], "interval": 4}}
    )
    critic, generator = config.optimizer("discriminator"), config.optimizer("generator")
    assert (critic.lr, critic.betas) == (pytest.approx(0.002 * 16 / 17), (0, pytest.approx(0.99 ** (16 / 17))))
    assert (generator.lr, generator.betas) == (pytest.approx(0.0016), (0, pytest.approx(0.99**0.8)))
    joined = recipe(regularizers={"r1": {**REGULARIZERS["r1"], "own_step": False}})
    assert joined.optimizer("discriminator") == joined.discriminator
    training = Training()
    assert training.trainer.g_optimizer.param_groups[0]["lr"] == pytest.approx(0.002 * 2 / 3)
    training.advance(4)  # the regularizer is due at steps 0 and 2
    weight = training.trainer.generator.blocks[0].conv.conv.weight
    assert training.trainer.g_optimizer.state[weight]["step"].item() == 6


@pytest.mark.parametrize("own_step", [False, True])
def test_lazy_regularization_has_the_same_gradient_over_an_interval(own_step):
    def summed(interval: int, own_step: bool) -> torch.Tensor:
        """Gradient of the losses of 4 steps with respect to one weight, with fixed networks, images and inputs."""
        training = Training(
            regularizers={"r1": {"kind": "r1", "weight": 0.5, "interval": interval, "own_step": own_step}}
        )
        trainer, weight = training.trainer, training.trainer.discriminator.conv.weight
        inputs, real = training.random_inputs.discriminator(0), training.streams.normal("real", 0, 8, 3, 8, 8)
        total = torch.zeros_like(weight)
        for step in range(4):
            for adversarial, terms in trainer._updates("discriminator", step):
                loss, _ = trainer._d_loss(real, inputs, adversarial, terms, None)
                total += torch.autograd.grad(loss, weight)[0]
        return total

    eager = summed(1, False)
    torch.testing.assert_close(summed(4, own_step), eager, atol=1e-5, rtol=1e-4)
    # Due at steps 0 and 3, with the weight of six steps in four.
    assert not torch.allclose(summed(3, own_step), eager, atol=1e-5, rtol=1e-4)
