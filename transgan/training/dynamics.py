"""What a run records of itself at log-spaced image counts: pictures of fixed latents, how far its attention reaches, a small FID."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transgan.models.attention import SelfAttention
from transgan.schema import RecipeConfig
from transgan.utils import files
from transgan.utils.image_grid import pictures
from transgan.utils.random import Streams

ATTENTION_BATCH = 8
MOST_WEIGHTS = (
    2**27
)  # attention weights held at once, in float32 half a GiB: among all pixels of 256 x 256, eight images have a TiB of them


def points(recipe: RecipeConfig) -> list[int]:
    """Image counts at which to record: 0, then log-spaced from `first` to the end."""
    config, end = recipe.dynamics, recipe.images
    first = min(config.first, end)
    later = config.points - 1
    spaced = [round(first * (end / first) ** (i / max(later - 1, 1))) for i in range(later)]
    return sorted({0, *spaced[:-1], end})


@dataclass
class Dynamics:
    """The records of one run. `fid(generator) -> float` is called where the recipe asks for it."""

    recipe: RecipeConfig
    z: Tensor  # (latents, latent)
    noise: Tensor | None
    fid: Callable[[nn.Module], float] | None = None
    records: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def of(
        recipe: RecipeConfig, generator: nn.Module, streams: Streams, fid: Callable[[nn.Module], float] | None = None
    ) -> "Dynamics":
        """With latents fixed by the run's seed."""
        latents = recipe.dynamics.latents
        z = streams.normal("dynamics/z", 0, latents, int(generator.latent))  # type: ignore[arg-type]
        width = int(generator.noise_width)  # type: ignore[arg-type]
        return Dynamics(recipe, z, streams.normal("dynamics/noise", 0, latents, width) if width else None, fid)

    def due(self, images: int) -> bool:
        """Whether a point has been reached that is not recorded yet."""
        reached = sum(point <= images for point in points(self.recipe))
        return reached > len(self.records)

    def record(self, generator: nn.Module, images: int) -> np.ndarray:
        """Record the moving average after `images` real images; returns the pictures."""
        made = pictures(generator, self.z, self.noise)
        self.records.append(
            {
                "images": images,
                "pictures": torch.from_numpy(made),
                "attention_distance": attention_distances(generator, self.z, self.noise),
                "fid": math.nan if self.fid is None else self.fid(generator),
            }
        )
        return made

    def save(self, path: Path, generator: nn.Module) -> None:
        """Write dynamics.npz: images (P,), pictures (P, N, H, W, 3), attention_distance (P, layers, heads) in pixels, attention_layers
        (layers,), the names of the layers, and fid (P,), NaN where not asked for.
        """
        arrays = {
            "images": np.array([record["images"] for record in self.records], dtype=np.int64),
            "pictures": np.stack([record["pictures"].numpy() for record in self.records]),
            "attention_distance": np.stack([record["attention_distance"].numpy() for record in self.records]),
            "attention_layers": np.array([name for name, _ in attention_layers(generator)], dtype=np.str_),
            "fid": np.array([record["fid"] for record in self.records]),
        }
        with files.atomic(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)


def attention_layers(generator: nn.Module) -> list[tuple[str, SelfAttention]]:
    """Self-attention layers whose weights exist as a matrix, which Nystrom attention's do not."""
    found = [(name, module) for name, module in generator.named_modules() if isinstance(module, SelfAttention)]
    return [(name, module) for name, module in found if module.form is not None and module.form.landmarks is None]


@torch.no_grad()
def attention_distances(generator: nn.Module, z: Tensor, noise: Tensor | None) -> Tensor:
    """Mean distance in pixels between a query and what it attends to, weighted by attention: (layers, heads)."""
    layers = attention_layers(generator)
    if not layers:
        return torch.zeros(0, 0)
    sums: dict[SelfAttention, Tensor] = {}
    resolution = int(generator.resolution)  # type: ignore[arg-type]

    def measure(layer: SelfAttention, inputs: tuple[Any, ...]) -> None:
        distance = _weighted_distance(layer, inputs[0], inputs[1], inputs[3], resolution)
        sums[layer] = sums.get(layer, torch.zeros_like(distance)) + distance * len(inputs[0])

    handles = [layer.register_forward_pre_hook(measure) for _, layer in layers]
    try:
        for start in range(0, len(z), ATTENTION_BATCH):
            rows = slice(start, start + ATTENTION_BATCH)
            generator(z[rows], None if noise is None else noise[rows])
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack([sums[layer] / len(z) for _, layer in layers]).cpu()


def attention_weights(layer: SelfAttention, x: Tensor, noise: Tensor | None, band: int | None) -> Tensor:
    """What each query attends to, from a layer's inputs (B, T, C): (B * T / length, heads, length, length), rows of sum 1."""
    query, key, bias = _operands(layer, x, noise, band)
    return _weights(query, key, bias)


def _operands(
    layer: SelfAttention, x: Tensor, noise: Tensor | None, band: int | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Queries and keys (B * T / length, heads, length, d) of a layer's inputs, and its bias (heads or 1, length, length)."""
    assert layer.form is not None
    length = layer.form.layout.length
    if noise is not None and layer.noise_strength is not None:
        x = x + noise * layer.noise_strength
    query, key, _ = (
        layer.qkv(x).view(-1, length, 3, layer.heads, x.shape[2] // layer.heads).permute(2, 0, 3, 1, 4).unbind(0)
    )
    bias = layer._bias(length, band, x.device)
    return query.float(), key.float(), bias if bias is None or bias.ndim == 3 else bias[None]


def _weights(query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    logits = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    weights: Tensor = (logits if bias is None else logits + bias).softmax(-1)
    return weights


def _weighted_distance(
    layer: SelfAttention, x: Tensor, noise: Tensor | None, band: int | None, resolution: int
) -> Tensor:
    """Of one layer's inputs (B, T, C): mean over images and queries of sum over keys of attention x distance, (heads,)."""
    assert layer.form is not None
    layout = layer.form.layout
    row, column = torch.meshgrid(torch.arange(layout.height), torch.arange(layout.width), indexing="ij")
    position = torch.stack([row.flatten(), column.flatten()], 1).to(x.device, torch.float32)
    query, key, bias = _operands(layer, x, noise, band)
    reach = query.new_empty(query.shape[:3])
    for tiles, queries in _parts(*reach.shape):
        distances = torch.cdist(position[queries], position) * (resolution / layout.side)
        weights = _weights(query[tiles, :, queries], key[tiles], None if bias is None else bias[:, queries])
        reach[tiles, :, queries] = (weights * distances).sum(-1)
    mean: Tensor = reach.mean((0, 2))
    return mean


def _parts(tiles: int, heads: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Tiles and queries that together have at most MOST_WEIGHTS weights: some tiles with all of their queries, or some queries of one."""
    tiles_at_once = max(MOST_WEIGHTS // (heads * length**2), 1)
    queries_at_once = max(min(MOST_WEIGHTS // (heads * length), length), 1)
    for tile in range(0, tiles, tiles_at_once):
        for query in range(0, length, queries_at_once):
            yield slice(tile, tile + tiles_at_once), slice(query, query + queries_at_once)
