"""Style mixing: which latent each layer takes its style from."""

import torch

from tests.training.styled import MODEL
from transgan.models import build_generator
from transgan.schema.model import generator_config
from transgan.training.random_inputs import GeneratorInputs, StyleMixing
from transgan.training.style_mixing import generate, styles_of


def test_styles_cross_at_the_layer_drawn():
    generator = build_generator(generator_config.validate_python({**MODEL["generator"], "channel_base": 16}))
    z, other, noise = torch.randn(3, 8), torch.randn(3, 8), torch.randn(3, generator.noise_width)
    inputs = GeneratorInputs(z, generator_noise=noise, mixing=StyleMixing(other, torch.tensor([1, 3, 4])))
    first, second = generator.map(z), generator.map(other)
    mixed = styles_of(generator, inputs)
    for image, crossing in enumerate((1, 3, 4)):
        assert torch.equal(mixed[image, :crossing], first[image, :crossing])
        assert torch.equal(mixed[image, crossing:], second[image, crossing:])
    images = generate(generator, inputs)
    torch.testing.assert_close(images[2], generator(z, noise)[2])  # beyond the last layer: no mixing
    assert not torch.allclose(images[1], generator(z, noise)[1])
    # The crossing is at the third layer: what the 4 x 4 block makes of the first latent is still there.
    changed = generate(
        generator, GeneratorInputs(z, generator_noise=noise, mixing=StyleMixing(other + 1, torch.tensor([1, 3, 4])))
    )
    with torch.no_grad():
        for block in generator.blocks[1:]:
            block.to_rgb.conv.weight.zero_()
    coarse = [
        generate(
            generator, GeneratorInputs(z, generator_noise=noise, mixing=StyleMixing(second, torch.tensor([1, 3, 4])))
        )
        for second in (other, z)
    ]
    assert not torch.allclose(images[1], changed[1])
    torch.testing.assert_close(coarse[0][1:], coarse[1][1:])
    assert not torch.allclose(coarse[0][0], coarse[1][0])
