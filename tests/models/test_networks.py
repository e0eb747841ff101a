"""Whole generators and discriminators: shapes, noise, locality band, recomputation, precision, initialization."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from transgan.models import attention, build_discriminator, build_generator, double_backward
from transgan.models.kernels.double_backward import double_backward_enabled
from transgan.schema.model import TransformerDiscriminator, TransformerGenerator


def small_generator(**changes: Any) -> TransformerGenerator:
    stages = [
        {"blocks": [{"depth": 1}]},
        {"upsample": "bicubic", "blocks": [{"depth": 2, "attention": "axis"}]},
        {"upsample": "pixel_shuffle", "blur": True, "blocks": [{"depth": 1, "attention": "wide"}]},
    ]
    wide = {"attention": "grid", "window": 4}
    content = {
        "latent": 6,
        "width": 32,
        "bottom_width": 2,
        "norm": "pixel",
        "noise": True,
        "latent_attention": True,
        "wide": wide,
        "stages": stages,
    }
    return TransformerGenerator.model_validate({**content, **changes})


def small_discriminator(**changes: Any) -> TransformerDiscriminator:
    stages = [
        {"share": 0.5, "blocks": [{"depth": 1, "attention": "grid", "window": 2}, {"depth": 1}]},
        {"share": 0.5, "blocks": [{"depth": 1}]},
    ]
    return TransformerDiscriminator.model_validate({"width": 16, "patch": 2, "stages": stages, **changes})


def randomized(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module


def test_noise_has_one_number_per_token_in_block_order():
    generator, discriminator = build_generator(small_generator()), build_discriminator(small_discriminator(), 8)
    assert generator.noise_width == 4 + 2 * 16 + 64
    assert discriminator.noise_width == 16 + 16 + 4 + (4 + 1)
    assert build_generator(small_generator(noise=False)).noise_width == 0


@pytest.mark.parametrize(
    "build", [lambda: build_generator(small_generator()), lambda: build_discriminator(small_discriminator(), 8)]
)
def test_given_noise_is_used_and_an_output_does_not_depend_on_the_rest_of_the_batch(build):
    module = randomized(build())
    given = torch.randn(3, 6) if hasattr(module, "latent") else torch.randn(3, 3, 8, 8)
    noise = torch.randn(3, module.noise_width)
    output = module(given, noise)
    torch.testing.assert_close(output[1:2], module(given[1:2], noise[1:2]), atol=1e-5, rtol=1e-4)
    changed = noise.clone()
    changed[:, -1] += 1.0
    assert not torch.allclose(output, module(given, changed))
    assert not torch.allclose(module(given), module(given))  # sampled if it is not given
    with pytest.raises(ValueError, match="this network takes"):
        module(given, noise[:, 1:])


def test_shapes_of_both_networks():
    generator, discriminator = build_generator(small_generator()), build_discriminator(small_discriminator(), 8)
    images = generator(torch.randn(2, generator.latent))
    assert images.shape == (2, 3, generator.resolution, generator.resolution) == (2, 3, 8, 8)
    assert discriminator(images).shape == (2,)


def test_the_locality_band_follows_the_images_shown():
    stages = [{"blocks": [{"depth": 1}]}, {"blocks": [{"depth": 1}]}]
    bands = [{"until": 100, "width": 1}, {"until": 200, "width": 3}]
    config = small_generator(latent_attention=False, noise=False, stages=stages, locality_band=bands)
    generator = randomized(build_generator(config))
    z = torch.randn(1, 6)
    outputs = {}
    for images in (0, 99, 100, 199, 200, 10**9):
        generator.set_progress(images)
        outputs[images] = generator(z)
    assert torch.equal(outputs[0], outputs[99])
    assert torch.equal(outputs[100], outputs[199])
    assert torch.equal(outputs[200], outputs[10**9])
    assert not torch.allclose(outputs[0], outputs[100])
    assert not torch.allclose(outputs[100], outputs[200])
    without_band = randomized(build_generator(config.model_copy(update={"locality_band": ()})))
    without_band.load_state_dict(generator.state_dict())
    assert torch.equal(outputs[200], without_band(z))


def test_one_compiled_graph_serves_every_width_of_the_locality_band():
    stages = [{"blocks": [{"depth": 1}]}, {"blocks": [{"depth": 1}]}]
    widths = range(10)  # more than torch.compile compiles anew before it gives up
    bands = [{"until": 100 * (width + 1), "width": width} for width in widths]
    config = small_generator(latent_attention=False, noise=False, stages=stages, locality_band=bands)
    generator, z = randomized(build_generator(config)), torch.randn(2, 6)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda z: generator(z), backend=counter, dynamic=False, fullgraph=True)
    for width in widths:
        generator.set_progress(100 * width)
        torch.testing.assert_close(compiled(z), generator(z))
    assert counter.frame_count == 1
    generator.set_progress(1000)  # no band any more: another graph
    torch.testing.assert_close(compiled(z), generator(z))
    assert counter.frame_count == 2


def test_class_token_first_passes_through_every_block():
    changes = {
        "class_token": "first",
        "relative_position": False,
        "noise": True,
        "stages": [{"share": 1.0, "blocks": [{"depth": 3}]}],
    }
    module = randomized(build_discriminator(small_discriminator(**changes), 8))
    assert module.last_block is None
    assert module.noise_width == 3 * 17
    first = module.stages[0].blocks[0]
    before = module(torch.ones(1, 3, 8, 8), torch.zeros(1, 51))
    nn.init.normal_(first.attention.proj.weight)
    assert not torch.allclose(before, module(torch.ones(1, 3, 8, 8), torch.zeros(1, 51)))


def penalty_gradients(module: nn.Module, images: torch.Tensor, noise: torch.Tensor) -> list[torch.Tensor]:
    images = images.clone().requires_grad_()
    with double_backward():
        logits = module(images, noise)
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    loss = (slope.flatten(1).norm(dim=1) - 1).square().mean() + module(images.detach(), noise).mean()
    loss.backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in module.parameters()]
    module.zero_grad(set_to_none=True)
    return gradients


@pytest.mark.parametrize("norm", ["layer", "pixel", "none"])
@pytest.mark.parametrize("attention", ["standard", "grid", "axis", "nystrom"])
def test_recomputed_blocks_give_the_same_gradients_under_double_backward(norm, attention):
    settings = {"attention": attention, "window": 2, "landmarks": 4}
    stages = [
        {"share": 0.5, "blocks": [{"depth": 2, **settings}]},
        {"share": 0.5, "blocks": [{"depth": 1, **settings}]},
    ]
    module = randomized(build_discriminator(small_discriminator(norm=norm, stages=stages), 8))
    images, noise = torch.randn(2, 3, 8, 8), torch.randn(2, module.noise_width)
    plain = penalty_gradients(module, images, noise)
    module.checkpoint_activations = True
    recomputed = penalty_gradients(module, images, noise)
    assert max(gradient.abs().max() for gradient in plain) > 0
    torch.testing.assert_close(recomputed, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", [nullcontext, double_backward])
def test_a_recomputation_runs_in_the_mode_of_the_forward_pass(mode, monkeypatch):
    """Though the backward pass is outside it, and a block is recomputed again for every gradient."""
    module = randomized(build_discriminator(small_discriminator(), 8))
    module.checkpoint_activations = True
    modes = []
    compute = attention.attention

    def recorded(*inputs: torch.Tensor | None) -> torch.Tensor:
        modes.append(double_backward_enabled())
        return compute(*inputs)

    monkeypatch.setattr(attention, "attention", recorded)
    with mode():
        score = module(torch.randn(2, 3, 8, 8), torch.zeros(2, module.noise_width)).sum()
    assert len(modes) == 4
    torch.autograd.grad(score, list(module.parameters()), retain_graph=True)
    score.backward()
    assert len(modes) == 4 + 4 + 4
    assert set(modes) == {mode is double_backward}
    assert not double_backward_enabled()


def test_recomputed_gradients_are_the_same_bits():
    module = randomized(build_discriminator(small_discriminator(), 8))
    images, noise = torch.randn(2, 3, 8, 8), torch.randn(2, module.noise_width)
    stored = penalty_gradients(module, images, noise)
    module.checkpoint_activations = True
    for recomputed, expected in zip(penalty_gradients(module, images, noise), stored, strict=True):
        assert torch.equal(recomputed, expected)


def test_the_generator_recomputes_too():
    module = randomized(build_generator(small_generator()))
    z, noise = torch.randn(2, 6), torch.randn(2, module.noise_width)
    gradients = []
    for module.checkpoint_activations in (False, True):
        module.zero_grad()
        module(z, noise).square().mean().backward()
        gradients.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def test_recomputation_saves_memory():
    """In bytes that the autograd graph saves for the backward pass."""
    stored = []
    module = build_discriminator(small_discriminator(), 8)
    for module.checkpoint_activations in (False, True):
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, saved=saved: saved.append(x.nbytes) or x, lambda x: x):
            module(torch.randn(4, 3, 8, 8), torch.zeros(4, module.noise_width))
        stored.append(sum(saved))
    assert stored[1] < 0.5 * stored[0]


def test_bfloat16_autocast_trains_and_stays_near_float32():
    generator, discriminator = build_generator(small_generator()), build_discriminator(small_discriminator(), 8)
    z, g_noise, d_noise = (
        torch.randn(4, 6),
        torch.zeros(4, generator.noise_width),
        torch.zeros(4, discriminator.noise_width),
    )
    exact = discriminator(generator(z, g_noise), d_noise)
    with torch.autocast("cpu", torch.bfloat16):
        rough = discriminator(generator(z, g_noise), d_noise)
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)
    rough.float().mean().backward()
    for module in (generator, discriminator):
        for name, parameter in module.named_parameters():
            if "cross_attention.noise_strength" not in name:
                assert parameter.grad is not None, name
                assert parameter.dtype == parameter.grad.dtype == torch.float32
                assert parameter.grad.isfinite().all()


def test_initialization_is_that_of_the_released_code():
    generator = build_generator(small_generator(latent=200, width=256))
    discriminator = build_discriminator(small_discriminator(width=128, noise=True), 16)
    bound = 1 / 200**0.5  # PyTorch's own for Linear: uniform with fan-in
    assert 0.95 * bound < generator.project.weight.abs().max() <= bound
    assert abs(generator.stages[0].blocks[0].attention.relative_table.std() - 0.02) < 0.003
    assert abs(generator.stages[0].position.std() - 0.02) < 0.002
    assert generator.embed.position.count_nonzero() == 0
    patch = discriminator.patches[0]
    xavier = (6 / ((3 + 64) * 2 * 2)) ** 0.5
    assert 0.95 * xavier < patch.weight.abs().max() <= xavier
    expand = discriminator.stages[0].blocks[0].expand
    assert abs(expand.weight.std() - 0.02) < 0.001
    assert expand.bias.count_nonzero() == 0
    strengths = [value for name, value in discriminator.named_parameters() if name.endswith("noise_strength")]
    assert len(strengths) == 4
    assert all(value == 0 for value in strengths)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("generator", {"width": 30}, "not divisible by 4 heads"),
        ("generator", {"wide": {"attention": "grid", "window": 3}}, "does not divide into tiles of 3"),
        ("generator", {"wide": {"attention": "grid"}}, "needs a `window`"),
        ("generator", {"wide": {"attention": "nystrom", "landmarks": 7}}, "do not divide among 7 landmarks"),
        ("generator", {"locality_band": [{"until": 5, "width": 1}]}, "must have standard attention"),
        ("discriminator", {"width": 18}, "channels"),
        ("discriminator", {"overlapping": True, "patch": 1}, "even `patch`"),
        ("discriminator", {"class_token": "first"}, "needs a single stage"),
    ],
)
def test_impossible_configurations_are_refused(part, changes, message):
    with pytest.raises(ValueError, match=message):
        (small_generator if part == "generator" else small_discriminator)(**changes)


def test_a_resolution_that_does_not_divide_into_patches_is_refused():
    with pytest.raises(ValueError, match="do not divide into patches of 4"):
        build_discriminator(small_discriminator(), 10)
