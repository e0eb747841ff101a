"""Samples: picture i of a seed is the same whatever the batch, and bytes are as the protocol says."""

import pytest
import torch
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.metrics import samples

CPU = torch.device("cpu")


class Linear(nn.Module):
    """A generator with noise: latent 4, noise 3 per picture."""

    latent, noise_width, resolution = 4, 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Dropout(0.5)  # shows whether the generator is in eval mode

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        assert noise is not None
        numbers = torch.cat([z, noise, z, noise[:, :1]], 1)
        return self.spread(numbers).view(-1, 3, 2, 2)


def pictures(seed: int = 0, start: int = 0, stop: int = 40, batch: int = 16) -> Tensor:
    return torch.cat(list(samples.generate(Linear(), seed, start, stop, batch, CPU)))


def test_pictures_do_not_depend_on_the_batch() -> None:
    assert torch.equal(pictures(batch=16), pictures(batch=7))


def test_pictures_do_not_depend_on_the_number_asked_for_or_where_one_starts() -> None:
    everything = pictures(stop=600, batch=600)
    assert torch.equal(everything[:40], pictures(stop=40))
    assert torch.equal(everything[250:270], pictures(start=250, stop=270))


def test_seeds_give_other_pictures_in_latent_and_noise() -> None:
    difference = (pictures(seed=0) - pictures(seed=1)).flatten(1)
    assert (difference.abs() > 0).all()


def test_latents_are_standard_normal() -> None:
    numbers = pictures(stop=4000, batch=4000)
    assert abs(float(numbers.mean())) < 0.03
    assert float(numbers.std()) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("quantize", "expected"), [("truncate", [0, 0, 63, 127, 191, 255, 255]), ("round", [0, 0, 64, 128, 191, 255, 255])]
)
def test_quantization_clamps_and_truncates_or_rounds(quantize: samples.Quantize, expected: list[int]) -> None:
    values = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 7.0])  # scaled: -, 0, 63.75, 127.5, 191.25, 255, -
    found = samples.quantized(values, quantize)
    assert found.dtype == torch.uint8
    assert found.tolist() == expected


def test_a_diverged_generator_is_said() -> None:
    class Diverged(Linear):
        def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
            return super().forward(z, noise) / 0

    with pytest.raises(UserError, match="not all finite"):
        list(samples.uint8_samples(Diverged(), 0, 10, 5, "round", CPU))
