"""Grids of images: as arrays, and as PNG files."""

from pathlib import Path

import numpy as np
from PIL import Image

from transgan.utils import files

WHITE, GREY, BLACK = (255, 255, 255), (90, 90, 90), (0, 0, 0)
GRID_PIXELS = 512  # a grid of samples is enlarged to about this width
GAP = 2  # pixels between the images of a grid that is written to a file


def make_grid(
    images: np.ndarray,
    columns: int,
    rows: int | None = None,
    gap: int = 1,
    border: int = 0,
    background: tuple[int, int, int] = WHITE,
) -> np.ndarray:
    """Arrange images uint8 (N, H, W, 3) in reading order, in rows of `columns`.

    `gap`: pixels between images; `border`: pixels around them; `rows`: as many as needed by default. Returns uint8
    (rows (H + gap) - gap + 2 border, columns (W + gap) - gap + 2 border, 3).
    """
    count, height, width, _ = images.shape
    rows = -(-count // columns) if rows is None else rows
    grid = np.empty((rows * (height + gap) - gap + 2 * border, columns * (width + gap) - gap + 2 * border, 3), np.uint8)
    grid[:] = background
    for index, image in enumerate(images):
        top, left = border + index // columns * (height + gap), border + index % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid


def resize(images: np.ndarray, height: int, width: int, resampling: Image.Resampling) -> np.ndarray:
    """Resize images uint8 (N, H, W, 3) to (N, height, width, 3)."""
    return np.stack([np.asarray(Image.fromarray(image).resize((width, height), resampling)) for image in images])


def save_grid(path: Path, images: np.ndarray, columns: int = 8) -> None:
    """Write images uint8 (N, H, W, 3) as a grid with thin grey lines; small images are enlarged by a whole factor."""
    _, height, width, _ = images.shape
    factor = max(1, GRID_PIXELS // (columns * width))
    enlarged = resize(images, height * factor, width * factor, Image.Resampling.BICUBIC)
    save_png(path, make_grid(enlarged, columns, gap=GAP, border=GAP, background=GREY))


def save_png(path: Path, image: np.ndarray, **options: int) -> None:
    """Write an image uint8 (H, W, 3) as PNG; `options` are those of Pillow, such as compress_level."""
    with files.atomic(path) as temporary:
        Image.fromarray(image).save(temporary, format="png", **options)
