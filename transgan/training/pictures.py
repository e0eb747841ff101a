"""Tensors as pictures: uint8 arrays, and grids of them as PNG."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from transgan import files

GRID_PIXELS = 512


@torch.no_grad()
def pictures(generator: nn.Module, z: Tensor, noise: Tensor | None, batch: int = 16) -> np.ndarray:
    """What a generator makes of latents (N, latent): uint8 (N, H, W, 3)."""
    parts = [
        to_uint8(generator(z[start : start + batch], None if noise is None else noise[start : start + batch])) for start in range(0, len(z), batch)
    ]
    return torch.cat(parts).numpy()


def to_uint8(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> uint8 (B, H, W, 3) on the CPU: (x + 1) / 2, clamped, truncated as in the paper's protocol."""
    return ((images.float() + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu()


def save_grid(path: Path, images: np.ndarray, columns: int = 8) -> None:
    """Write uint8 (N, H, W, 3) pictures as a grid, small ones enlarged by whole factors with hard pixel edges."""
    count, height, width, _ = images.shape
    rows = count // columns
    grid = images[: rows * columns].reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    factor = max(1, GRID_PIXELS // grid.shape[1])
    grid = grid.repeat(factor, 0).repeat(factor, 1)
    with files.atomic(path) as temporary:
        Image.fromarray(grid).save(temporary, format="png")
