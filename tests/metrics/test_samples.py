"""Samples: image i of a seed does not depend on the batch, and quantization is that of the protocol."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.metrics import samples

CPU = torch.device("cpu")


class Linear(nn.Module):
    """A generator with noise: latent 4, noise 3 per image."""

    latent, noise_width, resolution = 4, 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Dropout(0.5)  # shows whether the generator is in eval mode

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        assert noise is not None
        numbers = torch.cat([z, noise, z, noise[:, :1]], 1)
        return self.spread(numbers).view(-1, 3, 2, 2)


def images(seed: int = 0, start: int = 0, stop: int = 40, batch: int = 16) -> Tensor:
    return torch.cat(list(samples.generate(Linear(), seed, start, stop, batch, CPU)))


def test_images_do_not_depend_on_the_batch() -> None:
    assert torch.equal(images(batch=16), images(batch=7))


def test_images_do_not_depend_on_their_number_or_on_the_first_one() -> None:
    everything = images(stop=600, batch=600)
    assert torch.equal(everything[:40], images(stop=40))
    assert torch.equal(everything[250:270], images(start=250, stop=270))


def test_seeds_change_latents_and_noise() -> None:
    difference = (images(seed=0) - images(seed=1)).flatten(1)
    assert (difference.abs() > 0).all()


def test_latents_are_standard_normal() -> None:
    numbers = images(stop=4000, batch=4000)
    assert abs(float(numbers.mean())) < 0.03
    assert float(numbers.std()) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [("truncate", [0, 0, 63, 127, 191, 255, 255]), ("round", [0, 0, 64, 128, 191, 255, 255])],
)
def test_quantization_clamps_and_truncates_or_rounds(quantization: samples.Quantization, expected: list[int]) -> None:
    values = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 7.0])  # scaled: -, 0, 63.75, 127.5, 191.25, 255, -
    quantized = samples.quantize(values, quantization)
    assert quantized.dtype == torch.uint8
    assert quantized.tolist() == expected


def test_a_diverged_generator_is_an_error() -> None:
    class Diverged(Linear):
        def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
            return super().forward(z, noise) / 0

    with pytest.raises(UserError, match="not all finite"):
        list(samples.uint8_samples(Diverged(), 0, 10, 5, "round", CPU))


def test_images_of_latents_are_truncated_channels_last_and_independent_of_the_batch() -> None:
    generator = Linear().eval()
    z, noise = torch.linspace(-1.2, 1.2, 20).view(5, 4), torch.zeros(5, 3)
    images = samples.images_of_latents(generator, z, noise, batch=2)
    assert images.shape == (5, 2, 2, 3)
    np.testing.assert_array_equal(images, samples.images_of_latents(generator, z, noise, batch=5))
    expected = samples.quantize(generator(z, noise), "truncate")
    np.testing.assert_array_equal(images, expected.permute(0, 2, 3, 1).numpy())
