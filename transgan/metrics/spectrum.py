"""Radial power spectrum of images, and its distance to that of real images.

The spectrum is the periodogram of the luminance, averaged over images and over directions, as Durall et al. (2020) and
others use it to find what upsampling leaves behind.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal.windows import hann

LUMINANCE = np.array([0.299, 0.587, 0.114])  # weights of R, G and B (ITU-R BT.601), as Pillow's mode L has them
# Rounding to whole grey levels adds noise of this power at every frequency: less cannot be told from none.
FLOOR = 1 / 12
BATCH = 100  # images at once


def radial_spectrum(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Power of images (N, H, H, 3) at 1, 2, ..., H / 2 cycles per side: (H // 2,), in squared grey levels.

    Each image's mean is removed and a Hann window applied, because the borders of an image do not meet. The power is
    divided by that of the window, so that white noise of variance v has power v everywhere. A frequency's power is the
    mean over all directions, in rings one cycle wide.
    """
    side = images.shape[1]
    window = np.outer(hann(side, sym=False), hann(side, sym=False))
    power = np.zeros((side, side))
    for start in range(0, len(images), BATCH):
        luminance = images[start : start + BATCH].astype(np.float64) @ LUMINANCE
        luminance = (luminance - luminance.mean((1, 2), keepdims=True)) * window
        power += np.square(np.abs(np.fft.fft2(luminance))).sum(0)
    power /= len(images) * np.square(window).sum()
    cycles = np.fft.fftfreq(side, 1 / side)
    ring = np.rint(np.hypot(*np.meshgrid(cycles, cycles))).astype(np.int64).ravel()
    sums, counts = np.bincount(ring, power.ravel()), np.bincount(ring)
    radial: NDArray[np.float64] = (sums / counts)[1 : side // 2 + 1]
    return radial


def decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power in dB above one squared grey level; at least that of rounding to whole grey levels, -10.8 dB."""
    return 10 * np.log10(np.maximum(power, FLOOR))


def spectral_distance(generated: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """Root mean square of the difference of two radial spectra in dB, over all frequencies alike."""
    return float(np.sqrt(np.square(decibels(generated) - decibels(real)).mean()))
