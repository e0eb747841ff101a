"""All random numbers of a training step: latents, noise, augmentation and interpolation.

They are drawn for the global batch, from streams keyed by name and step. A device or a micro-batch uses its rows, so
the numbers depend neither on the devices nor on the micro-batch.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from transgan.errors import UserError
from transgan.models import DiscriminatorNetwork, GeneratorNetwork
from transgan.models.base import StyledGenerator
from transgan.schema import RecipeConfig
from transgan.training.augmentation import Augmentation
from transgan.utils.random import RandomStreams

# The three batches of DiscriminatorInputs.noise and .augment.
REAL, FAKE, INTERPOLATED = range(3)


@dataclass(frozen=True)
class StyleMixing:
    """A second latent for every image. Its style is used from layer `crossing` on; past the last layer, nowhere."""

    z: Tensor  # (B, latent)
    crossing: Tensor  # (B,) integers

    def rows(self, rows: slice) -> Self:
        """The inputs of these rows of the batch."""
        return type(self)(self.z[rows], self.crossing[rows])


@dataclass(frozen=True)
class DiscriminatorInputs:
    """Inputs of one discriminator step. `noise` and `augment` hold three batches: REAL, FAKE and INTERPOLATED."""

    z: Tensor  # (B, latent)
    alpha: Tensor  # (B, 1, 1, 1): interpolated = alpha * real + (1 - alpha) * fake
    generator_noise: Tensor | None = None  # (B, generator's noise width)
    noise: Tensor | None = None  # (3, B, discriminator's noise width)
    augment: Tensor | None = None  # (3, B, columns)
    mixing: StyleMixing | None = None

    def rows(self, rows: slice) -> Self:
        """The inputs of these rows of the batch."""
        return type(self)(
            z=self.z[rows],
            alpha=self.alpha[rows],
            generator_noise=_rows(self.generator_noise, rows),
            noise=_rows(self.noise, rows, 1),
            augment=_rows(self.augment, rows, 1),
            mixing=None if self.mixing is None else self.mixing.rows(rows),
        )


@dataclass(frozen=True)
class GeneratorInputs:
    """Inputs of one generator step."""

    z: Tensor  # (B, latent)
    generator_noise: Tensor | None = None  # (B, generator's noise width)
    noise: Tensor | None = None  # (B, discriminator's noise width)
    augment: Tensor | None = None  # (B, columns)
    mixing: StyleMixing | None = None
    directions: Tensor | None = None  # (B, 3, H, W) y of path length regularization

    def rows(self, rows: slice) -> Self:
        """The inputs of these rows of the batch."""
        return type(self)(
            z=self.z[rows],
            generator_noise=_rows(self.generator_noise, rows),
            noise=_rows(self.noise, rows),
            augment=_rows(self.augment, rows),
            mixing=None if self.mixing is None else self.mixing.rows(rows),
            directions=_rows(self.directions, rows),
        )


def _rows(numbers: Tensor | None, rows: slice, axis: int = 0) -> Tensor | None:
    return None if numbers is None else numbers[rows] if axis == 0 else numbers[:, rows]


class RandomInputs:
    """Draws the inputs of a recipe's steps, for networks of the given latent and noise widths."""

    def __init__(
        self,
        streams: RandomStreams,
        recipe: RecipeConfig,
        augmentation: Augmentation,
        generator: GeneratorNetwork,
        discriminator: DiscriminatorNetwork,
    ) -> None:
        """Raises UserError if the recipe needs a generator with styles, or one that takes images, and this is none."""
        self.streams = streams
        self.recipe = recipe
        self.augmentation = augmentation
        self.latent, self.resolution = generator.latent, generator.resolution
        self.generator_noise = generator.noise_width
        self.discriminator_noise = discriminator.noise_width
        self.styles = generator.styles if isinstance(generator, StyledGenerator) else 0
        self._path_lengths = {name for name, term in recipe.regularizers.items() if term.kind == "path_length"}
        if (recipe.style_mixing or self._path_lengths) and not self.styles:
            raise UserError(
                "recipe: `style_mixing` and `path_length` need a generator with styles (stylegan2); leave them out"
            )
        if not generator.image_side and any(term.kind == "super_resolution" for term in recipe.regularizers.values()):
            raise UserError("recipe: `super_resolution` needs a generator with `image_input: true`; or leave it out")

    def discriminator(self, step: int) -> DiscriminatorInputs:
        """The inputs of discriminator step `step`, for the global batch."""
        batch = self.recipe.batch
        noise = self._noise("d/noise", step, 3 * batch, self.discriminator_noise)
        return DiscriminatorInputs(
            z=self._z("d/z", step, batch),
            alpha=self.streams.uniform("d/alpha", step, batch, 1, 1, 1),
            generator_noise=self._noise("d/generator_noise", step, batch, self.generator_noise),
            noise=None if noise is None else noise.view(3, batch, -1),
            augment=self.augmentation.draw(self.streams, "d/augment", step, 3, batch, self.recipe.batch_group),
            mixing=self._mixing("d/mixing", step, batch),
        )

    def generator(self, step: int) -> GeneratorInputs:
        """The inputs of the generator step after discriminator step `step`, for the global batch."""
        batch, side = self.recipe.generator_batch, self.resolution
        paths = self._path_lengths.intersection(self.recipe.due("generator", step // self.recipe.n_critic))
        augment = self.augmentation.draw(self.streams, "g/augment", step, 1, batch, self.recipe.batch_group)
        return GeneratorInputs(
            z=self._z("g/z", step, batch),
            generator_noise=self._noise("g/generator_noise", step, batch, self.generator_noise),
            noise=self._noise("g/noise", step, batch, self.discriminator_noise),
            augment=None if augment is None else augment[0],
            mixing=self._mixing("g/mixing", step, batch),
            directions=self.streams.normal("g/directions", step, batch, 3, side, side) if paths else None,
        )

    def _z(self, name: str, step: int, batch: int) -> Tensor:
        return self.streams.normal(name, step, batch, self.latent)

    def _mixing(self, name: str, step: int, batch: int) -> StyleMixing | None:
        """With probability `style_mixing` the crossing is at a random layer after the first; else there is none."""
        if not self.recipe.style_mixing:
            return None
        coin, position = self.streams.uniform(f"{name}/crossing", step, batch, 2).unbind(1)
        within = 1 + (position * (self.styles - 1)).long().clamp(max=self.styles - 2)
        return StyleMixing(
            self._z(f"{name}/z", step, batch), torch.where(coin < self.recipe.style_mixing, within, self.styles)
        )

    def _noise(self, name: str, step: int, batch: int, width: int) -> Tensor | None:
        return self.streams.normal(name, step, batch, width) if width else None
