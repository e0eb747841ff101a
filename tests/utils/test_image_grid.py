"""Grids of images: reading order, gaps, borders, and files that are the same bytes for the same images."""

import numpy as np
from PIL import Image

from transgan.utils.image_grid import BLACK, GREY, make_grid, resize, save_grid


def numbered(count, side=2):
    return np.zeros((count, side, side, 3), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]


def test_images_stand_in_reading_order_on_white():
    grid = make_grid(numbered(3), columns=2)
    assert grid.shape == (5, 5, 3)
    assert grid[:, :, 0].tolist() == [[0, 0, 255, 1, 1]] * 2 + [[255] * 5] + [[2, 2, 255, 255, 255]] * 2


def test_a_border_gaps_and_empty_rows():
    grid = make_grid(numbered(1) + 7, columns=2, rows=2, gap=1, border=2, background=BLACK)
    assert grid.shape == (9, 9, 3)
    assert np.argwhere(grid[:, :, 0] == 7).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]
    assert (grid[4:] == 0).all()


def test_images_are_resized_one_by_one():
    enlarged = resize(numbered(2), 4, 6, Image.Resampling.NEAREST)
    assert enlarged.shape == (2, 4, 6, 3)
    assert (enlarged[1] == 1).all()


def test_small_images_are_enlarged_in_a_file_with_grey_lines(tmp_path):
    save_grid(tmp_path / "a.png", numbered(10, side=8))
    save_grid(tmp_path / "b.png", numbered(10, side=8))
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image)
    side = 8 * (512 // 64)
    assert pixels.shape == (2 * (side + 2) + 2, 8 * (side + 2) + 2, 3)
    assert tuple(pixels[0, 0]) == tuple(pixels[side + 2, 5]) == GREY
    assert (pixels[2 : 2 + side, side + 4 : 2 * side + 4] == 1).all()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
