"""Step: single operations that may be slow or missing on a GPU, each beside another formula for the same numbers.

The formulas are written out here, whichever the product uses.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gpu.attention_probes import attention_probe, flex_probe, penalty_probe
from gpu.comparison import compare, growing
from gpu.runs import named_run
from gpu.step import Part, Results, Step, main
from gpu.timing import device_of

TAPS = 43  # of the filter augmentation
FLOATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def run(step: Step) -> None:
    """Run every probe in a process of its own."""
    probes: tuple[tuple[Callable[..., Results], float], ...] = (
        (patch_probe, 8),
        (filter_probe, 8),
        (bicubic_probe, 7),
        (attention_probe, 22),
        (penalty_probe, 16),
        (flex_probe, 16),
    )
    results = step.run_parts([Part(probe.__name__, box, probe, (step.device, step.dry_run)) for probe, box in probes])
    ratios = []
    for operation, slow, fast in (
        ("patch", "convolution", "linear"),
        ("filter", "convolution", "matrices"),
        ("bicubic", "interpolate", "matrix"),
    ):
        for variants in list(results[f"{operation}_probe"].values())[:1]:
            times = [variants.get(name, {}).get("ms") for name in (slow, fast)]
            if all(times):
                ratios.append(f"{operation} {times[0] / times[1]:.1f}")
    step.record(summary=f"time of convolutions and of interpolate, relative to products: {', '.join(ratios)}")


def patch_probe(kind: str, dry_run: bool) -> Results:
    """The patch embedding of two discriminators under a gradient penalty, as a convolution and as a linear layer."""
    device = device_of(kind)
    for name in ("transgan-cifar10", "transgan-church256"):
        run = named_run(name, dry_run)
        side, batch = run.dataset.resolution, run.recipe.micro_batch or run.recipe.batch
        patch, channels = run.model.discriminator.patch, run.model.discriminator.embeddings[0]
        variants = {
            "convolution": lambda images, weight, p=patch: F.conv2d(images, weight.view(-1, 3, p, p), stride=p),
            "linear": lambda images, weight, p=patch: linear_patches(images, weight, p),
        }
        for precision, dtype in FLOATS.items():
            images = torch.randn(batch, 3, side, side, device=device, dtype=dtype, requires_grad=True)
            numbers = torch.randn(channels, 3 * patch**2, device=device, dtype=dtype)
            weight = (numbers / numbers.shape[1] ** 0.5).requires_grad_()
            title = f"{batch} images of {side} px, patch {patch}, {channels} channels, {precision}"
            names = ("values", "gradient", "d_cotangent", "d_weight")
            yield from growing(title, compare(variants, variants["linear"], (images, weight), names, order=2))


def linear_patches(images: Tensor, weight: Tensor, patch: int) -> Tensor:
    """(B, 3, H, W) and a weight (C, 3 patch^2) -> (B, C, H / patch, W / patch): a linear layer of reshaped patches."""
    batch, channels, height, width = images.shape
    patches = images.reshape(batch, channels, height // patch, patch, width // patch, patch)
    # (B, 3, rows, patch, columns, patch) -> (B, rows, columns, 3 patch^2)
    patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, height // patch, width // patch, -1)
    return F.linear(patches, weight).permute(0, 3, 1, 2)


def filter_probe(kind: str, dry_run: bool) -> Results:
    """The filter augmentation under a gradient penalty, as banded matrices and as grouped convolutions."""
    device = device_of(kind)
    run = named_run("transgan-celebahq256", dry_run)
    side, batch = (64, 2) if dry_run else (run.dataset.resolution, run.recipe.micro_batch or run.recipe.batch)
    images = torch.randn(batch, 3, side, side, device=device, requires_grad=True)
    taps = torch.randn(batch, TAPS, device=device) / math.sqrt(TAPS)
    # Matrices first: the convolutions' second derivative may take longer than this part may.
    variants = {"matrices": filter_by_matrices, "convolution": filter_by_convolutions}
    results = compare(variants, filter_by_matrices, (images, taps), ("values", "gradient", "d_cotangent"), order=2)
    yield from growing(f"{batch} images of {side} px", results)


def filter_by_convolutions(images: Tensor, taps: Tensor) -> Tensor:
    """Filter (B, 3, H, W) along both directions with each image's own taps (B, T), reflected at the borders."""
    batch, channels, height, width = images.shape
    pad, kernels = taps.shape[1] // 2, taps.repeat_interleave(channels, 0)
    flat = F.pad(images.reshape(1, batch * channels, height, width), (pad, pad, pad, pad), mode="reflect")
    flat = F.conv2d(flat, kernels[:, None, None, :], groups=batch * channels)
    flat = F.conv2d(flat, kernels[:, None, :, None], groups=batch * channels)
    return flat.view_as(images)


def filter_by_matrices(images: Tensor, taps: Tensor) -> Tensor:
    """The same by two products with a banded matrix (side, side) of each image, into which reflection is folded."""
    side, count = images.shape[-1], taps.shape[1]
    position = torch.arange(side, device=images.device)
    source = (position[:, None] + torch.arange(count, device=images.device) - count // 2).abs()  # (output, tap)
    source = torch.where(source >= side, 2 * (side - 1) - source, source)
    matrices = torch.zeros(len(images), side, side, device=images.device, dtype=taps.dtype)
    matrices = matrices.scatter_add(2, source.expand(len(images), -1, -1), taps[:, None].expand(-1, side, -1))[:, None]
    return matrices @ images @ matrices.mT


def bicubic_probe(kind: str, dry_run: bool) -> Results:
    """Bicubic doubling of G's maps at 256 pixels, forward and backward, by torch's operator and by a matrix."""
    device = device_of(kind)
    run = named_run("transgan-church256", dry_run)
    config, batch = run.model.generator, run.recipe.micro_batch or run.recipe.batch
    # A stage's map is doubled as the next stage says. The demo's generator has pixel shuffles only.
    stages = zip(config.sides, config.widths, config.stages[1:], strict=False)
    doubled = [(side, channels) for side, channels, following in stages if following.upsample == "bicubic"]
    for side, channels in doubled or [(4, 32)]:
        matrix = doubling_matrix(side).to(device)
        variants = {
            "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False),
            "matrix": lambda x, m=matrix: m.to(x.dtype) @ x @ m.to(x.dtype).T,
        }
        for precision, dtype in FLOATS.items():
            maps = torch.randn(batch, channels, side, side, device=device, dtype=dtype, requires_grad=True)
            title = f"{batch} maps of {side} x {side}, {channels} channels, {precision}"
            results = compare(variants, variants["matrix"], (maps,), ("values", "gradient"), order=1)
            yield from growing(title, results)


def doubling_matrix(side: int) -> Tensor:
    """The (2 side, side) matrix of bicubic interpolation along one direction, float64: its values of unit vectors."""
    units = torch.eye(side, dtype=torch.float64)[None, None]
    return F.interpolate(units, size=(2 * side, side), mode="bicubic", align_corners=False)[0, 0]


if __name__ == "__main__":
    main(run)
