"""Configuration of StyleGAN2's networks (Karras et al. 2019, 2020; docs/paper.md 5).

The sides double from `bottom_width` to the resolution.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict
from transgan.schema.limits import LARGEST_BASE, LARGEST_BATCH, LARGEST_SIDE, LARGEST_WIDTH, MOST_BLOCKS


def doubled_sides(bottom_width: int, resolution: int) -> tuple[int, ...]:
    """bottom_width, 2 bottom_width, ..., resolution. Raises ValueError if doubling does not reach the resolution."""
    sides = [bottom_width]
    while sides[-1] < resolution:
        sides.append(2 * sides[-1])
    if sides[-1] != resolution:
        raise ValueError(f"{resolution} pixels cannot be reached by doubling {bottom_width}")
    return tuple(sides)


class StyleGAN2Generator(Strict):
    """StyleGAN2's generator, config F.

    A mapping network, and a synthesis network of modulated convolutions whose RGB outputs are added up.
    """

    family: Literal["stylegan2"]
    resolution: int = Field(ge=1, le=LARGEST_SIDE, description="side of the generated image in pixels")
    bottom_width: int = Field(4, ge=1, le=LARGEST_SIDE, description="side of the learnt constant map; 3 for 48 pixels")
    latent: int = Field(512, ge=1, le=LARGEST_WIDTH, description="length of z")
    style_width: int = Field(
        512, ge=1, le=LARGEST_WIDTH, description="width of the mapping network and length of the style w"
    )
    mapping_depth: int = Field(8, ge=1, le=MOST_BLOCKS, description="fully connected layers from z to w")
    mapping_lr: float = Field(0.01, gt=0, description="learning rate multiplier of the mapping network")
    channel_base: int = Field(
        ge=1,
        le=LARGEST_BASE,
        description="channels x side, rounded down; twice the `fmap_base` of the original code: 32768 in config F, "
        "4096 for CIFAR-10",
    )
    channel_max: int = Field(512, ge=1, le=LARGEST_WIDTH, description="upper limit of the channels of a map")

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of every block in pixels."""
        return doubled_sides(self.bottom_width, self.resolution)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every block."""
        return tuple(min(self.channel_base // side, self.channel_max) for side in self.sides)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not all(self.widths):
            raise ValueError(f"`channel_base` {self.channel_base} leaves no channel at {self.resolution} pixels")
        return self


class StyleGAN2Discriminator(Strict):
    """StyleGAN2's residual discriminator, with the minibatch standard deviation before the last layers."""

    family: Literal["stylegan2"]
    bottom_width: int = Field(4, ge=1, le=LARGEST_SIDE, description="side of the last map; 3 for 48 pixels")
    channel_base: int = Field(ge=1, le=LARGEST_BASE, description="channels x side, rounded down, as in the generator")
    channel_max: int = Field(512, ge=1, le=LARGEST_WIDTH, description="upper limit of the channels of a map")
    deviation_group: int = Field(
        4,
        ge=1,
        le=LARGEST_BATCH,
        description="consecutive images whose standard deviation becomes one more channel; 1: no such channel",
    )

    def sides(self, resolution: int) -> tuple[int, ...]:
        """Side of every map in pixels, largest first."""
        return doubled_sides(self.bottom_width, resolution)[::-1]

    def widths(self, resolution: int) -> tuple[int, ...]:
        """Channels of every map, largest side first."""
        return tuple(min(self.channel_base // side, self.channel_max) for side in self.sides(resolution))

    def check_resolution(self, resolution: int) -> None:
        """Raise ValueError unless `resolution` halves to `bottom_width` with at least one channel at every side."""
        if not all(self.widths(resolution)):
            raise ValueError(f"`channel_base` {self.channel_base} leaves no channel at {resolution} pixels")
