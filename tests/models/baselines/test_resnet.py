"""The ResNets of WGAN-GP and SN-GAN: sizes, receptive field, published formulas, batch norm, spectral norm."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transgan.config import plan
from transgan.models import build_discriminator, build_generator, double_backward
from transgan.schema.baselines import ResNetDiscriminator, ResNetGenerator

MODELS = plan.load(Path(__file__).parents[3] / "params.yaml", "paper").models


def small_generator(**changes: Any) -> nn.Module:
    config = {"family": "resnet", "latent": 5, "width": 8, "bottom_width": 3, "blocks": [6, 4], "upsample": "bilinear"}
    return build_generator(ResNetGenerator.model_validate({**config, **changes}))


def small_discriminator(resolution: int = 12, **changes: Any) -> nn.Module:
    blocks = [{"width": 6, "downsample": True}, {"width": 8, "downsample": True}, {"width": 8}, {"width": 4}]
    return build_discriminator(
        ResNetDiscriminator.model_validate({"family": "resnet", "blocks": blocks, **changes}), resolution
    )


def convolution(inside: int, outside: int, size: int = 3) -> int:
    return outside * (inside * size * size + 1)


def up_block(inside: int, outside: int) -> int:
    return (
        convolution(inside, outside)
        + convolution(outside, outside)
        + convolution(inside, outside, 1)
        + 2 * (inside + outside)
    )


def down_block(inside: int, outside: int, hidden: int) -> int:
    return convolution(inside, hidden) + convolution(hidden, outside) + convolution(inside, outside, 1)


# Added up from the layers of mimicry's released WGAN-GP networks (its papers and pages print no totals).
PARAMETERS = {
    "wgan-gp-cifar10": (
        129 * 16 * 256 + 3 * up_block(256, 256) + 2 * 256 + convolution(256, 3),
        down_block(3, 128, 128) + down_block(128, 128, 128) + 4 * convolution(128, 128) + 129,
    ),
    "wgan-gp-stl10": (
        129 * 36 * 512 + up_block(512, 256) + up_block(256, 128) + up_block(128, 64) + 2 * 64 + convolution(64, 3),
        down_block(3, 64, 64)
        + down_block(64, 128, 64)
        + down_block(128, 256, 128)
        + down_block(256, 512, 256)
        + down_block(512, 1024, 512)
        + 1025,
    ),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_full_size_models_have_the_published_layers(name):
    with torch.device("meta"):
        networks = (
            build_generator(MODELS[name].generator),
            build_discriminator(MODELS[name].discriminator, MODELS[name].generator.resolution),
        )
    assert tuple(sum(parameter.numel() for parameter in net.parameters()) for net in networks) == PARAMETERS[name]


def test_the_generator_at_32_pixels_has_the_size_of_sn_gan():
    assert PARAMETERS["wgan-gp-cifar10"] == (4_276_739, 1_053_825)


@pytest.mark.parametrize(
    ("name", "side"), [("wgan-gp-cifar10", 32), ("wgan-gp-stl10", 48), ("autogan-cifar10", 32), ("autogan-stl10", 48)]
)
def test_shapes_at_the_side_of_the_datasets(name, side):
    with torch.device("meta"):
        generator, discriminator = (
            build_generator(MODELS[name].generator),
            build_discriminator(MODELS[name].discriminator, side),
        )
        images = generator(torch.empty(2, generator.latent))
        assert images.shape == (2, 3, side, side) == (2, 3, generator.resolution, generator.resolution)
        assert discriminator(images).shape == (2,)


def literal_generator(net: nn.Module, z: Tensor) -> Tensor:
    """As published: all convolutions on the larger map."""
    x = net.project(z).view(len(z), 8, 3, 3)
    for block in net.blocks:
        larger = F.interpolate(F.relu(block.norm1(x)), scale_factor=2, mode="bilinear", align_corners=False)
        residual = block.conv2(F.relu(block.norm2(block.conv1(larger))))
        x = residual + block.shortcut(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
    return torch.tanh(net.to_rgb[2](F.relu(net.to_rgb[0](x))))


def literal_discriminator(net: nn.Module, x: Tensor) -> Tensor:
    """As published: the first block starts with a convolution, and its shortcut pools before it convolves."""
    for i, block in enumerate(net.blocks):
        h = block.conv2(F.relu(block.conv1(x if i == 0 else F.relu(x))))
        if block.downsample:
            shortcut = block.shortcut(F.avg_pool2d(x, 2)) if i == 0 else F.avg_pool2d(block.shortcut(x), 2)
            x = F.avg_pool2d(h, 2) + shortcut
        else:
            x = h + block.shortcut(x)
    return net.head(F.relu(x).mean((2, 3)))[:, 0]


def test_the_cheaper_shortcuts_are_the_published_functions():
    generator, discriminator = small_generator(), small_discriminator()
    z = torch.randn(4, 5)
    torch.testing.assert_close(generator(z), literal_generator(generator, z))
    images = torch.randn(4, 3, 12, 12)
    torch.testing.assert_close(discriminator(images), literal_discriminator(discriminator, images))


def test_the_receptive_field_is_48_pixels():
    """Two 3 x 3 convolutions and a pooling: 6; again: 16; two blocks at a quarter of the side add 16 each."""
    blocks = [{"width": 24, "downsample": True}, {"width": 24, "downsample": True}, {"width": 24}, {"width": 24}]
    net = small_discriminator(96, blocks=blocks)
    images = torch.randn(8, 3, 96, 96, requires_grad=True)
    x = images
    for block in net.blocks:
        x = block(x)
    (gradient,) = torch.autograd.grad(x[:, :, 12, 12].sum(), images)
    field = gradient.abs().sum((0, 1)) > 0
    for axis in (0, 1):
        places = field.any(axis).nonzero().flatten()
        assert (places.min(), places.max()) == (12 * 4 - 22, 12 * 4 + 25)


def test_initial_weights_are_xavier_uniform():
    net = small_discriminator(blocks=[{"width": 64, "downsample": True}, {"width": 64}], init_gain=math.sqrt(2))
    bound = math.sqrt(2) * math.sqrt(6 / (9 * 128))
    assert 0.95 * bound < net.blocks[1].conv1.weight.abs().max() <= bound
    assert net.blocks[0].shortcut.weight.abs().max() <= math.sqrt(6 / 67)


def test_in_evaluation_mode_an_image_does_not_depend_on_the_batch():
    net, z = small_generator(), torch.randn(6, 5)
    for _ in range(3):
        net(torch.randn(32, 5))
    assert not torch.allclose(net(z)[:1], net(z[:1]), atol=1e-3)  # in training mode it does
    net.eval()
    torch.testing.assert_close(net(z)[2:3], net(z[2:3]))


def largest_singular_values(net: nn.Module) -> Tensor:
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return torch.stack([torch.linalg.matrix_norm(layer.weight.flatten(1), 2) for layer in layers])


def test_spectral_norm_makes_the_largest_singular_value_of_every_weight_1():
    net = small_discriminator(spectral_norm=True)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                layer.parametrizations.weight.original.mul_(3).add_(
                    torch.randn_like(layer.parametrizations.weight.original)
                )
    assert (largest_singular_values(net) - 1).abs().max() > 0.01
    for _ in range(200):
        net.begin_step()
    torch.testing.assert_close(
        largest_singular_values(net), torch.ones(len(largest_singular_values(net))), atol=1e-3, rtol=0
    )


def test_the_power_iteration_takes_one_step_per_update_and_none_in_a_forward_pass():
    net, images = small_discriminator(spectral_norm=True), torch.randn(2, 3, 12, 12)
    buffers = {key: value.clone() for key, value in net.named_buffers()}
    assert len(buffers) == 2 * len(largest_singular_values(net))
    for mode in (True, False):
        net.train(mode)(images)
        assert all(torch.equal(value, buffers[key]) for key, value in net.named_buffers())
    net.train()
    weights = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    with torch.no_grad():
        for weight in weights:
            weight.add_(torch.randn_like(weight))
    net.begin_step()
    assert not any(torch.equal(value, buffers[key]) for key, value in net.named_buffers() if value.numel() > 1)
    moved = {key: value.clone() for key, value in net.named_buffers()}
    other = small_discriminator(spectral_norm=True)
    other.load_state_dict(net.state_dict())
    net.begin_step()
    other.begin_step()
    assert any(not torch.equal(value, moved[key]) for key, value in net.named_buffers())
    assert all(torch.equal(value, dict(other.named_buffers())[key]) for key, value in net.named_buffers())


def test_the_gradient_goes_through_the_norm():
    """d(w / s)/dw against finite differences in float64, with the vectors of the power iteration fixed."""
    net = small_discriminator(spectral_norm=True, blocks=[{"width": 2}], resolution=3).double()
    images = torch.randn(1, 3, 3, 3, dtype=torch.float64)
    original = net.head.parametrizations.weight.original

    def logit(weight: Tensor) -> Tensor:
        return torch.func.functional_call(net, {"head.parametrizations.weight.original": weight}, (images,))

    torch.autograd.gradcheck(logit, original.detach().requires_grad_())


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_gradients_of_gradients_by_autograd_and_by_torch_func(spectral_norm):
    net, images = (
        small_discriminator(spectral_norm=spectral_norm).double(),
        torch.randn(3, 3, 12, 12, dtype=torch.float64),
    )
    parameters = dict(net.named_parameters())
    with double_backward():
        inner = torch.func.grad(lambda x: torch.func.functional_call(net, parameters, (x,)).sum())(images)
        inner.square().sum().backward()
        traced = {key: parameter.grad for key, parameter in parameters.items()}
        net.zero_grad()
        given = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(given).sum(), given, create_graph=True)
        slope.square().sum().backward()
    torch.testing.assert_close(inner, slope)
    weights = [key for key, parameter in parameters.items() if parameter.dim() > 1]
    assert all(parameters[key].grad.abs().max() > 0 for key in weights)
    for key in weights:
        torch.testing.assert_close(traced[key], parameters[key].grad)


def test_recomputed_blocks_give_the_same_gradients_and_count_a_batch_once():
    generator, z = small_generator(), torch.randn(6, 5)
    results = []
    for recompute in (False, True):
        net = small_generator()
        net.load_state_dict(generator.state_dict())
        net.checkpoint_activations = recompute
        net(z).square().sum().backward()
        results.append(([parameter.grad for parameter in net.parameters()], dict(net.named_buffers())))
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])
    assert results[1][1]["blocks.0.norm1.num_batches_tracked"] == 1


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="cannot be halved 2 times"):
        small_discriminator(10)
