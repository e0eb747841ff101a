"""Tensors as pictures: uint8 arrays, and grids of them as PNG."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from transgan.utils import files

GRID_PIXELS = 512
GAP = 2  # pixels between the pictures of a grid
GREY = (90, 90, 90)


@torch.no_grad()
def pictures(generator: nn.Module, z: Tensor, noise: Tensor | None, batch: int = 16) -> np.ndarray:
    """What a generator makes of latents (N, latent): uint8 (N, H, W, 3)."""
    parts = [
        to_uint8(generator(z[start : start + batch], None if noise is None else noise[start : start + batch]))
        for start in range(0, len(z), batch)
    ]
    return torch.cat(parts).numpy()


def to_uint8(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> uint8 (B, H, W, 3) on the CPU: (x + 1) / 2, clamped, truncated as in the paper's protocol."""
    return ((images.float() + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu()


def save_grid(path: Path, images: np.ndarray, columns: int = 8) -> None:
    """Write uint8 (N, H, W, 3) pictures as a grid with thin grey lines; small ones are enlarged (bicubic, whole factors) to be seen."""
    _, height, width, _ = images.shape
    factor = max(1, GRID_PIXELS // (columns * width))
    rows, step_x, step_y = -(-len(images) // columns), width * factor + GAP, height * factor + GAP
    grid = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), GREY)
    for index, picture in enumerate(images):
        tile = Image.fromarray(picture).resize((width * factor, height * factor), Image.Resampling.BICUBIC)
        grid.paste(tile, (GAP + index % columns * step_x, GAP + index // columns * step_y))
    with files.atomic(path) as temporary:
        grid.save(temporary, format="png")
