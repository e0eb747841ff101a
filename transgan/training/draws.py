"""Every random number of a training step, drawn for the global batch by name and step; a device or a micro-batch takes its rows of them."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from transgan.schema import RecipeConfig
from transgan.streams import Streams
from transgan.training.augmentation import Augmentation


@dataclass(frozen=True)
class DiscriminatorDraws:
    """One discriminator step. `noise` and `augment` hold three batches: for the real, the generated and the interpolated pictures."""

    z: Tensor  # (B, latent)
    alpha: Tensor  # (B, 1, 1, 1) share of the real picture in an interpolated one
    generator_noise: Tensor | None = None  # (B, generator's noise width)
    noise: Tensor | None = None  # (3, B, discriminator's noise width)
    augment: Tensor | None = None  # (3, B, columns)

    def rows(self, rows: slice) -> Self:
        """The numbers of some of the batch's pictures."""
        return type(self)(self.z[rows], self.alpha[rows], _rows(self.generator_noise, rows), _rows(self.noise, rows, 1), _rows(self.augment, rows, 1))


@dataclass(frozen=True)
class GeneratorDraws:
    """One generator step."""

    z: Tensor  # (B, latent)
    generator_noise: Tensor | None = None  # (B, generator's noise width)
    noise: Tensor | None = None  # (B, discriminator's noise width)
    augment: Tensor | None = None  # (B, columns)

    def rows(self, rows: slice) -> Self:
        """The numbers of some of the batch's pictures."""
        return type(self)(self.z[rows], _rows(self.generator_noise, rows), _rows(self.noise, rows), _rows(self.augment, rows))


def _rows(numbers: Tensor | None, rows: slice, axis: int = 0) -> Tensor | None:
    return None if numbers is None else numbers[rows] if axis == 0 else numbers[:, rows]


class Drawer:
    """Draws for a recipe and the widths of its networks."""

    def __init__(
        self, streams: Streams, recipe: RecipeConfig, augmentation: Augmentation, latent: int, generator_noise: int, discriminator_noise: int
    ) -> None:
        self.streams = streams
        self.recipe = recipe
        self.augmentation = augmentation
        self.latent = latent
        self.generator_noise = generator_noise
        self.discriminator_noise = discriminator_noise

    def discriminator(self, step: int) -> DiscriminatorDraws:
        """The numbers of discriminator step `step`."""
        batch = self.recipe.batch
        noise = self._noise("d/noise", step, 3 * batch, self.discriminator_noise)
        return DiscriminatorDraws(
            z=self._z("d/z", step, batch),
            alpha=self.streams.uniform("d/alpha", step, batch, 1, 1, 1),
            generator_noise=self._noise("d/generator_noise", step, batch, self.generator_noise),
            noise=None if noise is None else noise.view(3, batch, -1),
            augment=self.augmentation.draw(self.streams, "d/augment", step, 3, batch, self.recipe.batch_group),
        )

    def generator(self, step: int) -> GeneratorDraws:
        """The numbers of the generator step that follows discriminator step `step`."""
        batch = self.recipe.generator_batch
        augment = self.augmentation.draw(self.streams, "g/augment", step, 1, batch, self.recipe.batch_group)
        return GeneratorDraws(
            z=self._z("g/z", step, batch),
            generator_noise=self._noise("g/generator_noise", step, batch, self.generator_noise),
            noise=self._noise("g/noise", step, batch, self.discriminator_noise),
            augment=None if augment is None else augment[0],
        )

    def _z(self, name: str, step: int, batch: int) -> Tensor:
        z = self.streams.normal(name, step, batch, self.latent)
        return normalized(z) if self.recipe.normalize_latent else z

    def _noise(self, name: str, step: int, batch: int, width: int) -> Tensor | None:
        return self.streams.normal(name, step, batch, width) if width else None


def normalized(z: Tensor) -> Tensor:
    """Latents (B, latent) divided by their root mean square."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
