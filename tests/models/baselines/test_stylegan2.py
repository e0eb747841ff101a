"""StyleGAN2's networks against their definitions and against published numbers."""

import math

import pytest
import torch
import torch.nn.functional as F

from transgan.models import build_discriminator, build_generator
from transgan.models.baselines.stylegan2_layers import (
    EqualizedConv,
    EqualizedLinear,
    ModulatedConv,
    StyledConv,
    activation,
    fir_taps,
    low_pass,
    minibatch_deviation,
    upsample,
)
from transgan.models.serialization import load_generator, save_generator
from transgan.schema.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator

SIZES = {32: 4, 48: 3, 128: 4}


def generator_config(resolution: int = 16, bottom: int = 4, **changes) -> StyleGAN2Generator:
    small = {"latent": 12, "style_width": 10, "mapping_depth": 2, "channel_base": 16 * resolution, "channel_max": 24}
    return StyleGAN2Generator.model_validate(
        {"family": "stylegan2", "resolution": resolution, "bottom_width": bottom, **small, **changes}
    )


def discriminator(resolution: int = 16, bottom: int = 4, **changes) -> torch.nn.Module:
    config = {
        "family": "stylegan2",
        "bottom_width": bottom,
        "channel_base": 8 * resolution,
        "channel_max": 24,
        **changes,
    }
    return build_discriminator(StyleGAN2Discriminator.model_validate(config), resolution)


def noisy(generator: torch.nn.Module) -> torch.nn.Module:
    """With noise strengths and biases other than zero."""
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith(("noise_strength", "bias")):
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return generator


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_config_f_has_the_published_number_of_parameters_in_total_and_per_layer():
    """FFHQ at 1024 pixels with eight mapping layers, as the reference implementation prints it."""
    with torch.device("meta"):
        generator = build_generator(StyleGAN2Generator(family="stylegan2", resolution=1024, channel_base=32768))
        critic = build_discriminator(StyleGAN2Discriminator(family="stylegan2", channel_base=32768), 1024)
    assert (size(generator), size(critic)) == (30_370_060, 29_012_513)
    assert [size(layer) for layer in generator.mapping] == [262_656] * 8
    at_128 = generator.blocks[5]
    assert [size(part) for part in (at_128.up, at_128.conv, at_128.to_rgb)] == [1_442_561, 721_409, 132_099]
    at_1024 = generator.blocks[-1]
    assert [size(part) for part in (at_1024.up, at_1024.conv, at_1024.to_rgb)] == [51_297, 25_665, 16_515]
    from_128 = critic.blocks[3]
    assert [size(part) for part in (from_128.conv, from_128.down, from_128.skip)] == [590_080, 1_180_160, 131_072]
    assert [size(part) for part in (critic.conv, critic.dense, critic.head)] == [2_364_416, 4_194_816, 513]
    assert generator.styles == 18


@pytest.mark.parametrize(("resolution", "bottom"), SIZES.items())
def test_shapes_of_images_styles_and_noise(resolution, bottom):
    generator = build_generator(generator_config(resolution, bottom, channel_base=2 * resolution))
    critic = discriminator(resolution, bottom, channel_base=2 * resolution)
    blocks = int(math.log2(resolution // bottom)) + 1
    assert generator.styles == 2 * blocks
    assert generator.noise_width == bottom**2 + 2 * sum((bottom * 2**i) ** 2 for i in range(1, blocks))
    images = generator(torch.randn(4, 12))
    assert images.shape == (4, 3, resolution, resolution)
    assert critic(images).shape == (4,)
    assert images.std().item() == pytest.approx(1, abs=0.8)


def test_a_resolution_that_doubling_does_not_reach_is_refused():
    with pytest.raises(ValueError, match="48 pixels cannot be reached by doubling 4"):
        generator_config(48, 4)
    with pytest.raises(ValueError, match="48 pixels cannot be reached by doubling 4"):
        discriminator(48, 4)
    with pytest.raises(ValueError, match="leaves no channel at 64 pixels"):
        generator_config(64, 4, channel_base=63)


def test_equalized_learning_rate():
    x = torch.randn(4096, 64)
    layer = EqualizedLinear(64, 32, bias=1.0, lr=0.01)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.05)  # stored divided by lr ...
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight * (0.01 / 8), torch.ones(32)))
    assert (layer(x) - 1).var().item() == pytest.approx(1, rel=0.1)  # ... without changing the function
    before = layer(x)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5, betas=(0.0, 0.9))
    before.sum().backward()
    optimizer.step()  # changes every parameter by 0.5, the effect of the bias by lr times that
    torch.testing.assert_close(
        before - layer(x),
        0.005 + (0.005 / 8) * (x.sum(0).sign() * x).sum(1, keepdim=True).expand(-1, 32),
        atol=1e-3,
        rtol=0,
    )
    for kernel in (1, 3):
        conv = EqualizedConv(64, 32, kernel)
        assert conv.weight.std().item() == pytest.approx(1, rel=0.05)
        out = conv(torch.randn(4, 64, 16, 16), fir_taps())[:, :, 1:-1, 1:-1]
        assert out.var().item() == pytest.approx(1, rel=0.1)


def test_activation_keeps_the_second_moment():
    assert activation(torch.tensor([-1.0, 1.0])).tolist() == pytest.approx([-0.2 * 2**0.5, 2**0.5])
    assert activation(torch.randn(100_000)).square().mean().item() == pytest.approx(1.04, abs=0.02)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulation_and_demodulation_equal_weights_per_image(up, demodulate):
    layer = ModulatedConv(6, 5, 3, style_width=4, up=up, demodulate=demodulate)
    x, style = torch.randn(3, 6, 8, 8), torch.randn(3, 4)
    out = layer(x, style, fir_taps())
    for i in range(3):
        scales = style[i] @ (layer.affine.weight / 2).t() + 1
        weight = layer.weight / math.sqrt(6 * 9) * scales[None, :, None, None]
        if demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            expected = low_pass(F.conv_transpose2d(x[i : i + 1], weight.transpose(0, 1), stride=2), 4 * fir_taps(), 1)
        else:
            expected = F.conv2d(x[i : i + 1], weight, padding=1)
        torch.testing.assert_close(out[i : i + 1], expected, atol=1e-5, rtol=1e-4)


def test_demodulated_output_has_unit_variance_for_every_style():
    layer = ModulatedConv(32, 64, 3, style_width=4)
    out = layer(torch.randn(8, 32, 24, 24), torch.linspace(-5, 5, 32).view(8, 4), fir_taps())[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(out.var((1, 2, 3)), torch.ones(8), atol=0.06, rtol=0)


def by_definition(x: torch.Tensor, up: int, down: int, before: int, after: int) -> torch.Tensor:
    """Pixel by pixel: zeros between and around the pixels, FIR [1, 3, 3, 1] with sum `up`^2, every `down`-th pixel."""
    taps = [up * tap / 8 for tap in (1, 3, 3, 1)]
    side = len(x) * up + before + after
    wide = torch.zeros(side, side, dtype=x.dtype)
    wide[before : before + len(x) * up : up, before : before + len(x) * up : up] = x
    rows = range(0, side - 3, down)
    return torch.tensor(
        [
            [sum(taps[i] * taps[j] * wide[r + i, c + j].item() for i in range(4) for j in range(4)) for c in rows]
            for r in rows
        ]
    )


def test_resampling_is_a_direct_fir_computation():
    x = torch.randn(2, 3, 6, 6)
    cases = {
        "up": (upsample(x, fir_taps()), 2, 1, 2, 1),
        "before a 3 x 3 of stride 2": (low_pass(x, fir_taps(), 2), 1, 1, 2, 2),
        "down": (low_pass(x, fir_taps(), 1, down=2), 1, 2, 1, 1),
    }
    sides = {"up": 12, "before a 3 x 3 of stride 2": 7, "down": 3}
    for name, (out, up, down, before, after) in cases.items():
        assert out.shape == (2, 3, sides[name], sides[name]), name
        torch.testing.assert_close(out[1, 2], by_definition(x[1, 2], up, down, before, after), atol=1e-5, rtol=0)
    assert upsample(torch.ones(1, 1, 6, 6), fir_taps())[0, 0, 2:-2, 2:-2].unique().item() == pytest.approx(1)


def test_minibatch_deviation_is_that_of_each_group():
    x = torch.randn(8, 3, 4, 4)
    out = minibatch_deviation(x, 4)
    torch.testing.assert_close(out[:, :3], x)
    for start in (0, 4):
        group = x[start : start + 4]
        expected = (
            sum(
                (group[:, c, h, w].var(correction=0) + 1e-8).sqrt()
                for c in range(3)
                for h in range(4)
                for w in range(4)
            )
            / 48
        )
        torch.testing.assert_close(out[start : start + 4, 3], expected.expand(4, 4, 4))
    same = torch.cat([x[:1].expand(4, -1, -1, -1), x[4:]])
    assert minibatch_deviation(same, 4)[0, 3, 0, 0].item() == pytest.approx(1e-4)
    assert minibatch_deviation(x[:2], 4).shape == (2, 4, 4, 4)
    with pytest.raises(ValueError, match="6 images do not divide into groups of 4"):
        minibatch_deviation(x[:6], 4)


def test_scores_depend_on_the_images_of_the_group_and_on_no_others():
    critic = discriminator()
    images = torch.randn(8, 3, 16, 16)
    logits = critic(images)
    torch.testing.assert_close(critic(images[4:]), logits[4:], atol=1e-5, rtol=1e-5)
    identical = torch.cat([images[:1].expand(4, -1, -1, -1), images[4:]])
    assert (critic(identical)[0] - logits[0]).abs() > 1e-4
    single = discriminator(deviation_group=1)
    torch.testing.assert_close(single(images)[:1], single(images[:1]), atol=1e-5, rtol=1e-5)


def test_an_image_does_not_depend_on_its_batch():
    generator = noisy(build_generator(generator_config()))
    z, noise = torch.randn(5, 12), torch.randn(5, generator.noise_width)
    images = generator(z, noise)
    for i in range(5):
        torch.testing.assert_close(generator(z[i : i + 1], noise[i : i + 1])[0], images[i], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="noise is"):
        generator(z, noise[:, 1:])


def test_noise_has_a_learnt_strength_that_is_zero_at_first():
    generator = build_generator(generator_config())
    z, noise = torch.randn(2, 12), torch.randn(2, generator.noise_width)
    assert torch.equal(generator(z, noise), generator(z, torch.zeros_like(noise)))
    with torch.no_grad():
        generator.blocks[-1].conv.noise_strength.fill_(1.0)
    last = noise.clone()
    last[:, : -(16**2)] = 0  # all but the plane of the last convolution
    assert torch.equal(generator(z, noise), generator(z, last))
    assert not torch.equal(generator(z, noise), generator(z, torch.zeros_like(noise)))
    layer = StyledConv(3, 3, 4)
    with torch.no_grad():
        layer.noise_strength.fill_(2.0)
    x, style, plane = torch.randn(1, 3, 4, 4), torch.randn(1, 4), torch.randn(1, 1, 4, 4)
    torch.testing.assert_close(
        layer(x, style, plane, fir_taps()), activation(layer.conv(x, style, fir_taps()) + 2 * plane)
    )


def test_the_outputs_of_the_rgb_layers_add_up():
    generator = noisy(build_generator(generator_config()))
    z, noise = torch.randn(2, 12), torch.randn(2, generator.noise_width)
    whole = generator(z, noise)
    with torch.no_grad():
        for parameter in generator.blocks[-1].to_rgb.parameters():
            parameter.zero_()
    smaller = generator(z, noise)
    assert not torch.allclose(whole, smaller)
    with torch.no_grad():
        for block in generator.blocks[:-1]:
            block.to_rgb.bias.zero_()
            block.to_rgb.conv.weight.zero_()
        generator.blocks[0].to_rgb.bias.fill_(0.5)
    assert generator(z, noise)[0, :, 8, 8].tolist() == pytest.approx([0.5] * 3)  # a constant, twice upsampled


def test_the_length_of_the_latent_does_not_matter():
    generator = build_generator(generator_config())
    z = torch.randn(3, 12)
    torch.testing.assert_close(generator.map(z), generator.map(7 * z))
    assert generator.map(z).shape == (3, 6, 10)


def test_truncation_moves_styles_towards_their_mean_only_on_request():
    generator = build_generator(generator_config())
    z = torch.randn(3, 12)
    styles, mean = generator.map(z), generator.mean_style()
    assert torch.equal(mean, generator.mean_style())
    torch.testing.assert_close(generator.map(z, 0.0), mean.unsqueeze(1).expand(3, 6, -1))
    torch.testing.assert_close(generator.map(z, 0.7), mean.unsqueeze(1) + 0.7 * (styles - mean.unsqueeze(1)))
    many = generator.map(torch.randn(20_000, 12))[:, 0].mean(0)
    torch.testing.assert_close(many, mean[0], atol=0.05, rtol=0)


def test_recomputed_blocks_have_the_same_gradients():
    generator, critic = noisy(build_generator(generator_config())), discriminator()
    z, noise = torch.randn(4, 12), torch.randn(4, generator.noise_width)
    gradients = []
    for recompute in (False, True):
        generator.checkpoint_activations = critic.checkpoint_activations = recompute
        loss = critic(generator(z, noise)).sum()
        gradients.append(torch.autograd.grad(loss, [*generator.parameters(), *critic.parameters()]))
    torch.testing.assert_close(*gradients)


def test_a_saved_generator_is_read_unchanged(tmp_path):
    config = generator_config(24, 3)
    generator = noisy(build_generator(config))
    save_generator(tmp_path / "g.safetensors", generator, config, {"images": 5})
    saved = load_generator(tmp_path / "g.safetensors")
    z, noise = torch.randn(2, 12), torch.randn(2, generator.noise_width)
    assert torch.equal(saved.module(z, noise), generator(z, noise))
    assert saved.config == config
    assert saved.module.map(z, 0.5).isfinite().all()


def test_r1_and_its_gradient_are_those_of_finite_differences():
    critic = discriminator(8, 4, channel_base=32, deviation_group=2).double()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def r1() -> torch.Tensor:
        return torch.autograd.grad(critic(images).sum(), images, create_graph=True)[0].square().sum() / 2

    slopes = torch.autograd.grad(critic(images).sum(), images)[0]
    where, h = torch.randn_like(images), 1e-5
    with torch.no_grad():
        risen = (critic(images + h * where).sum() - critic(images - h * where).sum()) / (2 * h)
    assert (slopes * where).sum().item() == pytest.approx(risen.item(), rel=1e-5)
    for name in ("from_rgb.weight", "blocks.0.down.weight", "conv.weight", "dense.weight"):
        parameter = critic.get_parameter(name)
        slope = torch.autograd.grad(r1(), parameter)[0]
        along, h = torch.randn_like(parameter), 1e-5
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * h * along)
            values.append(r1().item())
            with torch.no_grad():
                parameter.sub_(sign * h * along)
        assert (slope * along).sum().item() == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-3), name
