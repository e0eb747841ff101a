"""Every model in params.yaml: exact sizes, no convolutions in transformers, two training steps at a reduced width."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from transgan.config import plan
from transgan.models import build_discriminator, build_generator, double_backward
from transgan.schema.model import ModelConfig, TransformerDiscriminator, TransformerGenerator

PLAN = plan.load(Path(__file__).parents[2] / "params.yaml", "paper")
DEMO = plan.load(Path(__file__).parents[2] / "params.yaml", "demo")
ALL = PLAN.models
MODELS = {
    name: model for name, model in ALL.items() if model.generator.family == model.discriminator.family == "transformer"
}

# docs/paper.md 4.6, counted on the authors' modules. The discriminators of the first version were never counted.
# docs/paper.md 1.7 has the count of celeba128's generator (second hand). Nothing confirms the other counts of celeba64
# and celeba128; they only notice a change.
PARAMETERS = {
    "cifar10": (83_312_495, 10_210_400),
    "stl10": (168_466_623, 10_341_536),
    "church256": (205_291_952, 17_754_569),
    "celebahq256": (205_291_927, 17_748_681),
    "celebahq256-released": (212_903_275, 13_334_593),
    "june-cifar10": (133_592_515, 12_458_113),
    "celeba128": (151_512_455, 16_465_609),
    "celeba64": (100_288_887, 16_420_681),
}
MILLIONS_OF_THE_FIRST_VERSION = {"v1-s": 34.4, "v1-m": 49.9, "v1-l": 86.9, "v1-xl": 133.6, "v1-plain": 34.4}
# Generators of the first version (docs/paper.md 4.7): side of the first stage, then channels and depth of each stage.
FIRST_VERSION = {
    "v1-plain": (8, [(384, 5), (96, 2), (24, 2)]),
    "v1-s": (8, [(384, 5), (96, 2), (24, 2)]),
    "v1-m": (8, [(512, 5), (128, 2), (32, 2)]),
    "v1-l": (8, [(768, 5), (192, 2), (48, 2)]),
    "v1-xl": (8, [(1024, 5), (256, 4), (64, 2)]),
    "v1-stl10": (12, [(768, 5), (192, 2), (48, 2)]),
    "v1-celeba64": (8, [(1024, 5), (256, 3), (64, 3), (16, 2)]),
}


def on_meta(model: ModelConfig) -> tuple[nn.Module, nn.Module]:
    with torch.device("meta"):
        return build_generator(model.generator), build_discriminator(model.discriminator, model.generator.resolution)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_full_size_models_have_exactly_these_numbers_of_parameters(name):
    assert tuple(map(parameters, on_meta(MODELS[name]))) == PARAMETERS[name]


def test_the_description_of_july_2021_gives_its_counts():
    """docs/deviations.md: noise but no relative position in G, relative position but no noise in D."""
    change = {
        "generator": {"noise": True, "relative_position": False},
        "discriminator": {"noise": False},
    }
    july = ModelConfig.model_validate(plan.merge(MODELS["cifar10"].plain(), change))
    assert tuple(map(parameters, on_meta(july))) == (83_260_878, 10_210_393)


@pytest.mark.parametrize(("name", "millions"), MILLIONS_OF_THE_FIRST_VERSION.items())
def test_sizes_of_the_first_version(name, millions):
    assert round(parameters(on_meta(MODELS[name])[0]) / 1e6, 1) == millions


@pytest.mark.parametrize("name", FIRST_VERSION)
def test_generators_of_the_first_version_by_hand(name):
    """A block of width C has 12 C^2 weights and 10 C biases and norms; 4 C more take an image's pixels."""
    side, stages = FIRST_VERSION[name]
    first, last = stages[0][0], stages[-1][0]
    expected = (1024 + 1) * side**2 * first + 3 * (last + 1)
    expected += sum(depth * (12 * width**2 + 10 * width) for width, depth in stages)
    expected += sum((side * 2**i) ** 2 * width for i, (width, _) in enumerate(stages))
    expected += 0 if name == "v1-plain" else 4 * first
    assert parameters(on_meta(MODELS[name])[0]) == expected


@pytest.mark.parametrize("name", [name for name in FIRST_VERSION if name != "v1-plain"])
def test_bands_of_the_first_version_end_at_whole_epochs(name):
    epoch = {"v1-stl10": 105_000, "v1-celeba64": 202_599}.get(name, 50_000)
    band = [(step.until / epoch, step.width) for step in MODELS[name].generator.locality_band]
    narrow = [(22, 4), (32, 6), (42, 8), (60, 10)]
    assert band == ([(5, 8), (10, 12), (15, 16), (20, 20)] if name == "v1-celeba64" else narrow)


@pytest.mark.parametrize("name", MODELS)
def test_only_patch_embeddings_convolve(name):
    generator, discriminator = on_meta(MODELS[name])
    convolutions = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm)
    assert not [key for key, module in generator.named_modules() if isinstance(module, convolutions)]
    for key, module in discriminator.named_modules():
        if isinstance(module, convolutions):
            assert key.startswith("patches.")
            overlaps = module.kernel_size != module.stride
            assert overlaps == (name == "celebahq256-released" and key == "patches.0")


def reduced(model: ModelConfig) -> ModelConfig:
    """The same architecture with the least widths and depths, transformers at a quarter of the side."""
    generator, discriminator = reduce_net(model.generator.plain()), reduce_net(model.discriminator.plain())
    transformers = [net for net in (generator, discriminator) if net["family"] == "transformer"]
    if len(transformers) == 2 and generator["bottom_width"] >= 8:  # smaller ones are the demo's, small already
        generator["bottom_width"] //= 4
    for net in transformers:
        for blocks in (net["wide"], *(group for stage in net["stages"] for group in stage["blocks"])):
            blocks["window"] = blocks["window"] and max(2, blocks["window"] // 4)
            blocks["landmarks"] = 16
            if "depth" in blocks:
                blocks["depth"] = min(1, blocks["depth"])
    return ModelConfig.model_validate({"generator": generator, "discriminator": discriminator})


def reduce_net(net: dict[str, Any]) -> dict[str, Any]:
    match net["family"]:
        case "transformer" if "patch" in net:
            net.update(width=64)
        case "transformer":
            shuffles = sum(stage["upsample"] == "pixel_shuffle" for stage in net["stages"][1:])
            net.update(
                latent=8,
                width=4 * 4**shuffles,
                locality_band=[{"until": 2, "width": 3}] if net["locality_band"] else [],
            )
        case "resnet" if "latent" in net:
            net.update(latent=8, width=8, blocks=[8] * len(net["blocks"]))
        case "resnet":
            net.update(blocks=[{**block, "width": 8} for block in net["blocks"]])
        case "autogan":
            net.update(latent=8, width=8)
        case "stylegan2":
            net.update(channel_max=8, **({"latent": 8, "style_width": 8} if "latent" in net else {}))
    return net


@pytest.mark.parametrize("name", ALL)
def test_two_training_steps(name):
    model = reduced(ALL[name])
    resolution = model.generator.resolution
    generator, discriminator = build_generator(model.generator), build_discriminator(model.discriminator, resolution)
    optimizers = [torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.0, 0.99)) for net in (generator, discriminator)]
    before = [[parameter.detach().clone() for parameter in net.parameters()] for net in (generator, discriminator)]
    real = torch.rand(2, 3, resolution, resolution) * 2 - 1
    for step in range(2):
        generator.set_progress(2 * step)
        discriminator.begin_step()
        fake = generator(torch.randn(2, generator.latent)).detach()
        images = torch.lerp(fake, real, torch.rand(2, 1, 1, 1)).requires_grad_()
        with double_backward():
            (slope,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        penalty = 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        drift = 0.001 * discriminator(real).mean().square()  # otherwise the gradients of the last biases cancel
        update(optimizers[1], discriminator(fake).mean() - discriminator(real).mean() + penalty + drift)
        update(optimizers[0], -discriminator(generator(torch.randn(2, generator.latent))).mean())
    for net, old in zip((generator, discriminator), before, strict=True):
        for (key, parameter), start in zip(net.named_parameters(), old, strict=True):
            assert parameter.isfinite().all(), key
            # The first is never used, as in the released module; the second only by super-resolution.
            if "cross_attention.noise_strength" not in key and not key.startswith("project_image."):
                assert not torch.equal(parameter, start), key


def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("name", "widths", "upsampling"),
    [
        ("celeba64", (1024, 256, 64, 16), ("pixel_shuffle",) * 3),
        ("celeba128", (1024, 1024, 256, 64, 16), ("bicubic", "pixel_shuffle", "pixel_shuffle", "pixel_shuffle")),
    ],
)
def test_celeba_generators_follow_the_papers_table(name, widths, upsampling):
    """The last three doublings are pixel shuffles; tiles above 32 x 32 only; no noise (docs/paper.md 1.7)."""
    generator = MODELS[name].generator
    assert generator.widths == widths
    assert tuple(stage.upsample for stage in generator.stages[1:]) == upsampling
    assert [stage.blocks[0].depth for stage in generator.stages] == [5] + [4] * (len(widths) - 1)
    assert attention_by_side(generator, generator.sides) == {
        (side, "grid" if side > 32 else "standard") for side in generator.sides
    }
    assert (generator.latent, generator.norm, generator.noise) == (512, "pixel", False)
    assert generator.relative_position


def attention_by_side(
    net: TransformerGenerator | TransformerDiscriminator, sides: Sequence[int]
) -> set[tuple[int, str]]:
    """The kinds of attention at every side in tokens."""
    return {
        (side, group.resolve(net.wide).attention)
        for side, stage in zip(sides, net.stages, strict=True)
        for group in stage.blocks
    }


def discriminator_sides(model: ModelConfig) -> list[int]:
    return [
        model.generator.resolution // (model.discriminator.patch * 2**i) for i in range(len(model.discriminator.stages))
    ]


def discriminator_depth(model: ModelConfig) -> int:
    return sum(group.depth for stage in model.discriminator.stages for group in stage.blocks)


ROWS = ("standard", "nystrom", "axis", "grid", "multiscale", "modnorm", "relpos")


def differences(first: Any, second: Any, path: str = "") -> set[str]:
    """The keys of two nested configurations that differ."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return {key for name in first for key in differences(first[name], second[name], f"{path}.{name}")}
    return set() if first == second else {path[1:]}


@pytest.mark.parametrize("dataset", ["celeba64", "celeba128", "church256"])
def test_each_row_of_the_ablation_changes_one_thing(dataset):
    rows = [PLAN.run(f"{row}-{dataset}").model for row in ROWS]
    changes = [differences(above.plain(), below.plain()) for above, below in itertools.pairwise(rows)]
    form = {"generator.wide.attention", "discriminator.wide.attention"}
    assert changes[:3] == [form] * 3
    assert changes[3] in ({"discriminator.stages"}, {"discriminator.stages", "discriminator.wide.window"})
    assert changes[4:] == [
        {"generator.norm"},
        {"generator.relative_position", "discriminator.relative_position"},
    ]
    assert all(PLAN.run(f"{row}-{dataset}").recipe == PLAN.run(f"standard-{dataset}").recipe for row in ROWS)
    assert PLAN.run(f"transgan-{dataset}").model == rows[-1]


@pytest.mark.parametrize("dataset", ["celeba64", "celeba128", "church256"])
@pytest.mark.parametrize("current", [PLAN, DEMO], ids=["paper", "demo"])
def test_the_multi_scale_row_changes_neither_depth_nor_attention(current, dataset):
    """Before and after it D has as many blocks, and at the resolution of the single scale the same forms."""
    single, several = (current.run(f"{row}-{dataset}").model for row in ("grid", "multiscale"))
    assert len(single.discriminator.stages) == 1 < len(several.discriminator.stages)
    assert discriminator_depth(single) == discriminator_depth(several)
    first = discriminator_sides(single)[0]
    before, after = (attention_by_side(model.discriminator, discriminator_sides(model)) for model in (single, several))
    assert before == {(side, form) for side, form in after if side == first}
    assert {form for side, form in after if side < first} == {"standard"}


@pytest.mark.parametrize("dataset", ["celeba64", "celeba128", "church256"])
@pytest.mark.parametrize("row", ROWS)
def test_only_maps_above_32_by_32_have_another_form_of_attention(dataset, row):
    model = PLAN.run(f"{row}-{dataset}").model
    model.discriminator.check_resolution(model.generator.resolution)
    form = row if row in ROWS[:4] else "grid"
    for net, sides in ((model.generator, model.generator.sides), (model.discriminator, discriminator_sides(model))):
        kinds = attention_by_side(net, sides)
        assert {kind for side, kind in kinds if side <= 32} <= {"standard"}
        assert {kind for side, kind in kinds if side > 32} <= {form, "standard"}
    large = {kind for side, kind in attention_by_side(model.generator, model.generator.sides) if side > 32}
    assert large == {form}


def test_figure_shares_are_the_papers():
    model = PLAN.run("figure-shares-celeba128").model
    assert model.discriminator.widths == (96, 192, 384)
    assert differences(PLAN.run("transgan-celeba128").model.plain(), model.plain()) == {"discriminator.stages"}
