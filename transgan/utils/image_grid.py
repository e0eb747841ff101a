"""Grids of images as PNG."""

from pathlib import Path

import numpy as np
from PIL import Image

from transgan.utils import files

GRID_PIXELS = 512
GAP = 2  # pixels between the images of a grid
GREY = (90, 90, 90)


def make_grid(images: np.ndarray, columns: int, gap: int = 1, background: int = 255) -> np.ndarray:
    """Images (N, H, W, 3) in rows of `columns`, `gap` pixels apart, as one uint8 image (height, width, 3)."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    sheet = np.full((rows, columns, height + gap, width + gap, channels), background, np.uint8)
    sheet.reshape(rows * columns, height + gap, width + gap, channels)[:count, :height, :width] = images
    joined = sheet.swapaxes(1, 2).reshape(rows * (height + gap), columns * (width + gap), channels)
    return joined[:-gap, :-gap] if gap else joined


def save_grid(path: Path, images: np.ndarray, columns: int = 8) -> None:
    """Write images uint8 (N, H, W, 3) as a grid with thin grey lines. Small images are enlarged by a whole factor."""
    _, height, width, _ = images.shape
    factor = max(1, GRID_PIXELS // (columns * width))
    rows, step_x, step_y = -(-len(images) // columns), width * factor + GAP, height * factor + GAP
    grid = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), GREY)
    for index, image in enumerate(images):
        enlarged = Image.fromarray(image).resize((width * factor, height * factor), Image.Resampling.BICUBIC)
        grid.paste(enlarged, (GAP + index % columns * step_x, GAP + index // columns * step_y))
    with files.atomic(path) as temporary:
        grid.save(temporary, format="png")
