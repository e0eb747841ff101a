"""Seam ratios with known answers: a planted seam, a seamless picture, and data whose gradients are uneven."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from transgan.metrics.seams import BATCH, GradientEnergy, gradient_energy, seam_ratio

SIDE, TILE = 16, 4


def smooth_noise(count: int, seed: int = 0) -> np.ndarray:
    """Pictures (N, 16, 16, 3) that are alike at every place, so that no border shows: noise, smoothed on a torus."""
    noise = np.random.default_rng(seed).normal(size=(count, SIDE, SIDE, 3))
    return 128 + 100 * gaussian_filter(noise, (0, 1, 1, 0), mode="wrap")


def with_seams(images: np.ndarray, energy: float, tile: int = TILE) -> np.ndarray:
    """Add steps of +h or -h, at random, across every border, so that its energy grows by h^2 = `energy`."""
    signs = np.random.default_rng(9).choice([-1.0, 1.0], size=(2, len(images), SIDE // tile))
    down, right = np.repeat(np.cumsum(signs, axis=2), tile, axis=2) * np.sqrt(energy)
    return images + down[:, :, None, None] + right[:, None, :, None]


def test_a_planted_seam_is_found_with_its_size() -> None:
    """Steps as strong as the picture's own gradients double the energy across borders; four times as much: 5."""
    real, generated = smooth_noise(1000, 0), smooth_noise(1000, 1)
    own = gradient_energy(generated, TILE).across.mean()
    for times in (1.0, 4.0):
        found = seam_ratio(gradient_energy(with_seams(generated, times * own), TILE), gradient_energy(real, TILE))
        assert found.value == pytest.approx(1 + times, rel=0.05)
        assert 1 < found.low < 1 + times < found.high


def test_a_seamless_picture_is_1_within_its_interval() -> None:
    real = gradient_energy(smooth_noise(500, 0), TILE)
    found = [seam_ratio(gradient_energy(smooth_noise(100, seed), TILE), real) for seed in range(1, 11)]
    assert sum(each.low < 1 < each.high for each in found) >= 8
    assert all(abs(each.value - 1) < 0.1 for each in found)


def test_uneven_gradients_of_the_data_are_no_seams() -> None:
    """Pictures with their contrast at the border of two tiles, as digits have theirs in the middle."""
    contrast = np.exp(-np.square(np.arange(SIDE) - 7.5) / 10)
    uneven = [(smooth_noise(500, seed) - 128) * (contrast[:, None] * contrast)[..., None] for seed in (0, 1)]
    real, generated = (gradient_energy(images, 8) for images in uneven)
    assert real.across.mean() > 2 * real.inside.mean()
    found = seam_ratio(generated, real)
    assert found.low < 1 < found.high


def test_a_step_counts_where_it_is() -> None:
    """One edge between columns 7 and 8, which is across tiles of 4 and 8."""
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    image[:, :, 8:] = 100
    energy = gradient_energy(image, 8)
    assert energy.across == pytest.approx([100**2 / 2])  # of both directions, only columns have the edge
    assert energy.inside == pytest.approx([0])
    assert gradient_energy(image, 4).across == pytest.approx([100**2 / 2 / 3])  # three borders, one has the edge
    # Measured at tiles of 8, the borders of tiles of 4 are not inside.
    image[:, :, 4:8] = 50
    assert gradient_energy(image, 8).inside > 0
    assert gradient_energy(image, 8, (4, 8)).inside == pytest.approx([0])


def test_a_batch_makes_no_difference() -> None:
    images = smooth_noise(BATCH + 7)
    whole, last = gradient_energy(images, TILE), gradient_energy(images[BATCH:], TILE)
    np.testing.assert_array_equal(whole.across[BATCH:], last.across)
    assert len(whole.inside) == BATCH + 7


def test_pictures_without_gradient_have_no_ratio() -> None:
    flat = gradient_energy(np.full((3, SIDE, SIDE, 3), 7, np.uint8), TILE)
    found = seam_ratio(flat, gradient_energy(smooth_noise(3), TILE))
    assert np.isnan([found.value, found.low, found.high]).all()
    one = seam_ratio(GradientEnergy(np.ones(1), np.ones(1)), GradientEnergy(np.ones(3), np.full(3, 2.0)))
    assert one.value == 2
    assert np.isnan(one.low)


@pytest.mark.parametrize("tile", [1, SIDE])
def test_tiles_without_borders_or_without_inside_are_refused(tile: int) -> None:
    with pytest.raises(ValueError, match="both across and inside"):
        gradient_energy(smooth_noise(1), tile)
