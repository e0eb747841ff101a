"""Seams between the tiles of grid self-attention: gradient energy across tile borders over that inside tiles.

The gradient is the difference of neighbouring pixels, its energy the square. Real images have no tiles, but their
gradients are not the same everywhere: digits have most in the middle. The ratio is therefore divided by that of real
images at the same places, so that 1 is seamless.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 999
BATCH = 100  # images at once: in float64, 100 of 256 pixels take 160 MB


@dataclass(frozen=True)
class GradientEnergy:
    """Mean squared difference of neighbouring pixels of each image: `across` borders (N,) and `inside` tiles (N,)."""

    across: NDArray[np.float64]
    inside: NDArray[np.float64]


@dataclass(frozen=True)
class SeamRatio:
    """A seam ratio, 1 if seamless, and its 95% interval over images; NaN where the images have no gradient."""

    value: float
    low: float
    high: float


def gradient_energy(images: NDArray[np.generic], tile: int, tiles: Sequence[int] = ()) -> GradientEnergy:
    """Gradient energy of images (N, H, H, C), over both directions and all channels.

    `across`: pairs of pixels on two sides of a border between tiles of `tile` pixels. `inside`: pairs that no border
    divides, of these tiles or of the other `tiles` that a generator has. Raises ValueError if there are no such pairs.
    """
    side = images.shape[1]
    first = np.arange(1, side)  # a pair is named by its second pixel
    border = first % tile == 0
    inside = np.all([first % other != 0 for other in (tile, *tiles)], axis=0)
    if not border.any() or not inside.any():
        raise ValueError(f"images of {side} pixels have no pairs of pixels both across and inside tiles of {tile}")
    energy = np.concatenate([_energy(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    return GradientEnergy(energy[:, border].mean(1), energy[:, inside].mean(1))


def seam_ratio(generated: GradientEnergy, real: GradientEnergy) -> SeamRatio:
    """Energy across borders over energy inside tiles, of generated over real images; means over images come first.

    The interval is scipy's percentile bootstrap, which resamples the generated and the real images.
    """

    def ratio(some: NDArray[np.int64], others: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        both = ((generated, some), (real, others))
        (across, inside), (real_across, real_inside) = (
            (energy.across[rows].mean(axis), energy.inside[rows].mean(axis)) for energy, rows in both
        )
        quotient: NDArray[np.float64] = (across / inside) / (real_across / real_inside)
        return quotient

    images = np.arange(len(generated.across)), np.arange(len(real.across))
    with np.errstate(all="ignore"):
        value = float(ratio(*images))
        if not np.isfinite(value) or min(map(len, images)) < 2:
            return SeamRatio(value, float("nan"), float("nan"))
        interval = stats.bootstrap(
            images,
            ratio,
            n_resamples=RESAMPLES,
            batch=100,
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    return SeamRatio(value, float(interval.low), float(interval.high))


def _energy(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Energy between each two rows or columns of pixels, of both directions together: (N, H - 1)."""
    pixels = images.astype(np.float64)
    down = np.square(np.diff(pixels, axis=1)).mean((2, 3))
    right = np.square(np.diff(pixels, axis=2)).mean((1, 3))
    energy: NDArray[np.float64] = (down + right) / 2
    return energy
