"""Radial power spectra with known answers: white noise, a power law, a grating, and what rounding hides."""

import numpy as np
import pytest

from transgan.metrics.spectrum import FLOOR, decibels, radial_spectrum, spectral_distance

SIDE = 64


def grey(images: np.ndarray) -> np.ndarray:
    """Pictures (N, H, H) with three equal channels."""
    return np.repeat(images[..., None], 3, axis=3)


def test_white_noise_is_flat_at_its_variance() -> None:
    noise = np.random.default_rng(0).normal(128, 20, (300, SIDE, SIDE))
    power = radial_spectrum(grey(noise))
    assert power.shape == (SIDE // 2,)
    assert power[1:] == pytest.approx(400, rel=0.08)  # the mean, which is removed, is a part of the first frequency


def test_a_power_law_has_its_slope() -> None:
    """Noise filtered in the frequency domain to power 1 / f^2, as photographs have it."""
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE, 1 / SIDE), np.fft.fftfreq(SIDE, 1 / SIDE)))
    filtered = np.fft.fft2(np.random.default_rng(0).normal(0, 100, (300, SIDE, SIDE))) / np.maximum(cycles, 1)
    power = radial_spectrum(grey(np.fft.ifft2(filtered).real))
    f = np.arange(1, SIDE // 2 + 1)
    slope, _ = np.polyfit(np.log(f[3:]), np.log(power[3:]), 1)
    assert slope == pytest.approx(-2, abs=0.05)


@pytest.mark.parametrize(("across", "down"), [(8, 0), (0, 20), (12, 16)])
def test_a_grating_lands_at_its_frequency(across: int, down: int) -> None:
    x = np.arange(SIDE) / SIDE
    grating = 50 * np.cos(2 * np.pi * (across * x[None, :] + down * x[:, None]))
    power = radial_spectrum(grey(grating[None]))
    frequency = round(np.hypot(across, down))
    assert int(power.argmax()) + 1 == frequency
    near = power[frequency - 3 : frequency + 2].sum()  # a Hann window spreads it over the neighbours
    assert near > 0.999 * power.sum()


def test_luminance_weighs_channels_as_pillow_does() -> None:
    green = np.zeros((100, SIDE, SIDE, 3))
    green[..., 1] = np.random.default_rng(0).normal(0, 20, (100, SIDE, SIDE))
    assert radial_spectrum(green)[1:].mean() == pytest.approx(0.587**2 * 400, rel=0.02)


def test_distance_is_in_decibels_and_blind_below_rounding() -> None:
    power = np.array([100.0, 10.0, 1.0])
    assert spectral_distance(power, power) == 0
    assert spectral_distance(10 * power, power) == pytest.approx(10)
    assert spectral_distance(power * [1, 1, 1000], power) == pytest.approx(30 / np.sqrt(3))
    assert spectral_distance(np.full(3, 1e-9), np.full(3, FLOOR)) == 0
    assert decibels(np.zeros(1)) == pytest.approx(-10.79, abs=0.01)


def test_rounding_leaves_the_power_of_the_floor() -> None:
    smooth = np.random.default_rng(0).uniform(50, 200, (200, 1, 1)) + np.linspace(0, 3, SIDE)[:, None] * np.ones(SIDE)
    dithered = smooth + np.random.default_rng(1).uniform(-0.5, 0.5, (200, SIDE, SIDE))
    assert radial_spectrum(grey(np.rint(dithered) - dithered))[1:].mean() == pytest.approx(FLOOR, rel=0.05)
