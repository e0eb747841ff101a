"""Path length regularization against closed forms and finite differences."""

import functools

import pytest
import torch

from tests.training.regularizers.contexts import generator_context
from tests.training.styled import MODEL, Linear, Training
from transgan.errors import UserError
from transgan.models import build_generator
from transgan.schema.model import generator_config
from transgan.schema.recipe import Regularizer
from transgan.training.random_inputs import GeneratorInputs
from transgan.training.regularizers import REGULARIZERS
from transgan.training.regularizers.path_length import path_lengths


def term(**changes) -> Regularizer:
    return Regularizer.model_validate({"kind": "path_length", "net": "generator", "weight": 1.0, **changes})


@pytest.mark.parametrize("compiled", [False, True])
def test_path_lengths_of_a_linear_generator(compiled):
    generator = Linear()
    inputs = GeneratorInputs(torch.randn(4, 6), directions=torch.randn(4, 3, 4, 4))
    lengths = (
        torch.einsum("lpw,bp->blw", generator.matrices, inputs.directions.flatten(1) / 4).square().sum(2).mean(1).sqrt()
    )
    part = generator_context(generator, inputs, 1.5, compiled=compiled)
    torch.testing.assert_close(path_lengths(part, inputs), lengths)
    value = REGULARIZERS["path_length"](term(), part)
    expected = (lengths - 1.5).square().mean()
    torch.testing.assert_close(value, expected)
    assert part.statistics["mean"].item() == pytest.approx(lengths.mean().item())
    for computed, known in zip(
        *(torch.autograd.grad(one, generator.matrices) for one in (value, expected)), strict=True
    ):
        torch.testing.assert_close(computed, known)
    every_other = REGULARIZERS["path_length"](term(one_in=2), generator_context(generator, inputs, 1.5))
    torch.testing.assert_close(every_other, (lengths[::2] - 1.5).square().mean())
    with pytest.raises(UserError, match="one in 3 images, but 4 pass"):
        REGULARIZERS["path_length"](term(one_in=3), generator_context(generator, inputs))


def test_path_length_and_its_gradient_agree_with_finite_differences():
    # Path lengths jump at the kinks of the leaky ReLU. With one seed in sixty a finite difference crosses a kink.
    torch.manual_seed(0)
    generator = build_generator(generator_config.validate_python(MODEL["generator"])).double()
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.3)
    double = functools.partial(torch.randn, dtype=torch.float64)
    inputs = GeneratorInputs(
        double(2, 8), generator_noise=double(2, generator.noise_width), directions=double(2, 3, 8, 8)
    )
    part = generator_context(generator, inputs, 0.4)
    styles, h = generator.map(inputs.z).detach(), 1e-5
    squares = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        for layer in range(generator.styles):
            for component in range(8):
                step = torch.zeros_like(styles)
                step[:, layer, component] = h
                moved = generator.synthesize(styles + step, inputs.generator_noise) - generator.synthesize(
                    styles - step, inputs.generator_noise
                )
                squares += ((moved / (2 * h) * inputs.directions).sum((1, 2, 3)) / 8).square() / generator.styles
    torch.testing.assert_close(path_lengths(part, inputs).detach(), squares.sqrt(), atol=0, rtol=1e-6)
    value = REGULARIZERS["path_length"](term(), part)
    names = [
        "mapping.0.weight",
        "constant",
        "blocks.0.conv.conv.weight",
        "blocks.1.up.conv.affine.weight",
        "blocks.1.to_rgb.conv.weight",
    ]
    for name, slope in zip(
        names, torch.autograd.grad(value, [generator.get_parameter(name) for name in names]), strict=True
    ):
        parameter, along, values = generator.get_parameter(name), torch.randn_like(slope), []
        for sign in (h, -h):
            with torch.no_grad():
                parameter.add_(sign * along)
            values.append(REGULARIZERS["path_length"](term(), generator_context(generator, inputs, 0.4)).item())
            with torch.no_grad():
                parameter.sub_(sign * along)
        assert (slope * along).sum().item() == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-4), name


def test_the_penalty_uses_the_average_length_of_the_previous_steps():
    training = Training()
    average, penalties = 0.0, []
    for step in range(5):
        measured = training.advance()
        assert ("path" in measured) == (step % 2 == 0)
        if step % 2 == 0:
            penalties.append((measured["path"], measured["path_mean"], average))
            average = 0.9 * average + 0.1 * measured["path_mean"]
        assert training.trainer.regularizer_state["path"]["mean"].item() == pytest.approx(average, rel=1e-5)
    value, mean, before = penalties[0]
    assert value >= (mean - before) ** 2  # the mean of squares is at least the square of the mean
    assert training.trainer.regularizer_state["r1"] == {}
