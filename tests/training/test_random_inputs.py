"""The random inputs of a step: crossings of styles, directions of path lengths."""

import pytest
import torch

from tests.training.styled import Training, recipe
from transgan.errors import UserError
from transgan.models import DiscriminatorNetwork, build_generator
from transgan.schema.model import generator_config
from transgan.training.augmentation import Augmentation
from transgan.training.random_inputs import RandomInputs
from transgan.utils.random import RandomStreams


def test_crossings_have_the_probability_of_the_recipe_and_are_uniform():
    training = Training(batch=4096, generator_batch=4096, regularizers={})
    crossings = torch.cat([training.random_inputs.discriminator(step).mixing.crossing for step in range(5)])
    counts = torch.bincount(crossings, minlength=5) / len(crossings)
    torch.testing.assert_close(
        counts, torch.tensor([0, 0.3, 0.3, 0.3, 0.1]), atol=0.015, rtol=0
    )  # 4 styles: crossings 1, 2, 3, or none (4)
    part = training.random_inputs.generator(3).rows(slice(10, 20))
    assert torch.equal(part.mixing.crossing, training.random_inputs.generator(3).mixing.crossing[10:20])
    assert torch.equal(part.mixing.z, training.random_inputs.generator(3).mixing.z[10:20])


def test_directions_are_drawn_only_when_path_length_is_due():
    random_inputs = Training(n_critic=3).random_inputs
    assert [random_inputs.generator(step).directions is not None for step in (0, 3, 6, 9)] == [True, False, True, False]


def test_style_mixing_and_path_length_need_a_generator_with_styles():
    transformer = generator_config.validate_python(
        {"latent": 8, "width": 16, "bottom_width": 8, "stages": [{"blocks": [{"depth": 1}]}]}
    )
    for changes in ({"style_mixing": 0.0}, {"regularizers": {}}):
        with pytest.raises(UserError, match="generator with styles"):
            RandomInputs(
                RandomStreams(0),
                recipe(**changes),
                Augmentation([], 8, 0.3),
                build_generator(transformer),
                DiscriminatorNetwork(),
            )
