"""Attention maps of a generator: its self-attention layers, their weights, and how far they attend.

The distances go into dynamics.npz; the attention figures of the report draw the weights.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from transgan.models.attention import SelfAttention

BATCH_SIZE = 8  # images in one forward pass
# Limit on the attention weights in memory at once: half a GiB in float32.
# Full attention over eight images of 256 x 256 pixels would take a TiB.
MAX_WEIGHTS = 2**27


def attention_layers(generator: nn.Module) -> list[tuple[str, SelfAttention]]:
    """Name and module of every self-attention layer that computes a matrix of weights. Nystrom attention does not."""
    layers = [(name, module) for name, module in generator.named_modules() if isinstance(module, SelfAttention)]
    return [(name, layer) for name, layer in layers if layer.pattern is not None and layer.pattern.landmarks is None]


@torch.no_grad()
def attention_distances(generator: nn.Module, z: Tensor, noise: Tensor | None) -> Tensor:
    """Mean attention distance of every layer and head, in pixels: (layers, heads).

    The distance between a query and a key is weighted by their attention and averaged over queries and over the
    images of the latents z (N, latent) and noise (N, noise width).
    """
    layers = attention_layers(generator)
    if not layers:
        return torch.zeros(0, 0)
    sums: dict[SelfAttention, Tensor] = {}
    resolution = int(generator.resolution)  # type: ignore[arg-type]

    def measure(layer: SelfAttention, inputs: tuple[Any, ...]) -> None:
        distance = _mean_distance(layer, inputs[0], inputs[1], inputs[2], resolution)
        sums[layer] = sums.get(layer, torch.zeros_like(distance)) + distance * len(inputs[0])

    handles = [layer.register_forward_pre_hook(measure) for _, layer in layers]
    try:
        for start in range(0, len(z), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            generator(z[rows], None if noise is None else noise[rows])
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack([sums[layer] / len(z) for _, layer in layers]).cpu()


def attention_weights(layer: SelfAttention, x: Tensor, noise: Tensor | None, band: Tensor | None) -> Tensor:
    """Attention weights of a layer for inputs x (B, T, C): (B * T / length, heads, length, length), rows of sum 1."""
    query, key, bias = _query_key_bias(layer, x, noise, band)
    return _weights(query, key, bias)


def _query_key_bias(
    layer: SelfAttention, x: Tensor, noise: Tensor | None, band: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Queries and keys (B * T / length, heads, length, d) of a layer, and its bias (heads or 1, length, length)."""
    assert layer.pattern is not None
    length = layer.pattern.tiling.length
    if noise is not None and layer.noise_strength is not None:
        x = x + noise * layer.noise_strength
    qkv = layer.qkv(x).view(-1, length, 3, layer.heads, x.shape[2] // layer.heads)
    query, key, _ = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    bias = layer.attention_bias(length, band)
    return query.float(), key.float(), bias if bias is None or bias.ndim == 3 else bias[None]


def _weights(query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias)."""
    logits = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    weights: Tensor = (logits if bias is None else logits + bias).softmax(-1)
    return weights


def _mean_distance(
    layer: SelfAttention, x: Tensor, noise: Tensor | None, band: Tensor | None, resolution: int
) -> Tensor:
    """Attention distance of one layer for its inputs (B, T, C), mean over images and queries: (heads,)."""
    assert layer.pattern is not None
    tiling = layer.pattern.tiling
    row, column = torch.meshgrid(torch.arange(tiling.height), torch.arange(tiling.width), indexing="ij")
    position = torch.stack([row.flatten(), column.flatten()], 1).to(x.device, torch.float32)
    query, key, bias = _query_key_bias(layer, x, noise, band)
    per_query = query.new_empty(query.shape[:3])
    for tiles, queries in _chunks(*per_query.shape):
        # Exact differences: the expansion of the square ends in MKL's square root (see transgan.utils.square_root).
        distances = torch.cdist(position[queries], position, compute_mode="donot_use_mm_for_euclid_dist")
        distances = distances * (resolution / tiling.side)
        weights = _weights(query[tiles, :, queries], key[tiles], None if bias is None else bias[:, queries])
        per_query[tiles, :, queries] = (weights * distances).sum(-1)
    mean: Tensor = per_query.mean((0, 2))
    return mean


def _chunks(tiles: int, heads: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Slices of tiles and queries with at most MAX_WEIGHTS weights: whole tiles if they fit, else part of one tile."""
    tiles_at_once = max(MAX_WEIGHTS // (heads * length**2), 1)
    queries_at_once = max(min(MAX_WEIGHTS // (heads * length), length), 1)
    for tile in range(0, tiles, tiles_at_once):
        for query in range(0, length, queries_at_once):
            yield slice(tile, tile + tiles_at_once), slice(query, query + queries_at_once)
