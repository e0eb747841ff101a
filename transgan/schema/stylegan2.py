"""Configuration of StyleGAN2's networks (Karras et al. 2019, 2020; paper.md 5): sides double from `bottom_width` up to the resolution."""

from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict


def doubled_sides(bottom_width: int, resolution: int) -> tuple[int, ...]:
    """bottom_width, 2 bottom_width, ... resolution. Raises ValueError where doubling misses the resolution."""
    sides = [bottom_width]
    while sides[-1] < resolution:
        sides.append(2 * sides[-1])
    if sides[-1] != resolution:
        raise ValueError(f"{resolution} pixels are not {bottom_width} doubled")
    return tuple(sides)


class StyleGAN2Generator(Strict):
    """The generator: a mapping network, and a synthesis network of modulated convolutions whose RGB images add up (config F)."""

    family: Literal["stylegan2"]
    resolution: int = Field(ge=1, description="side of the generated image in pixels")
    bottom_width: int = Field(4, ge=1, description="side of the learnt constant map; 3 for 48 pixels")
    latent: int = Field(512, ge=1, description="length of z")
    style_width: int = Field(512, ge=1, description="width of the mapping network and length of the style w")
    mapping_depth: int = Field(8, ge=1, description="fully connected layers from z to w")
    mapping_lr: float = Field(0.01, gt=0, description="learning rate multiplier of the mapping network")
    channel_base: int = Field(
        ge=1,
        description="channels x side, rounded down; twice the original's `fmap_base`: 32768 in config F, 4096 for CIFAR-10",
    )
    channel_max: int = Field(512, ge=1, description="most channels of a map")

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
    """The residual discriminator, down to `bottom_width`, with the minibatch standard deviation before its last layers."""

    family: Literal["stylegan2"]
    bottom_width: int = Field(4, ge=1, description="side of the last map; 3 for 48 pixels")
    channel_base: int = Field(ge=1, description="channels x side, rounded down, as in the generator")
    channel_max: int = Field(512, ge=1, description="most channels of a map")
    deviation_group: int = Field(
        4,
        ge=1,
        description="consecutive pictures whose standard deviation is one more channel of each; 1: no such channel",
    )

    def sides(self, resolution: int) -> tuple[int, ...]:
        """Side of every map in pixels, largest first."""
        return doubled_sides(self.bottom_width, resolution)[::-1]

    def widths(self, resolution: int) -> tuple[int, ...]:
        """Channels of every map, that of the largest side first."""
        return tuple(min(self.channel_base // side, self.channel_max) for side in self.sides(resolution))

    def check_resolution(self, resolution: int) -> None:
        """Raise ValueError unless pictures of `resolution` pixels halve to `bottom_width` with a channel or more everywhere."""
        if not all(self.widths(resolution)):
            raise ValueError(f"`channel_base` {self.channel_base} leaves no channel at {resolution} pixels")
