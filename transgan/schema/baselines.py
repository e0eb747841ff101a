"""Configuration of the convolutional baselines: the ResNets of WGAN-GP and SN-GAN, AutoGAN's generator."""

from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict
from transgan.schema.limits import LARGEST_SIDE, LARGEST_WIDTH

Upsample = Literal["nearest", "bilinear"]


class ResNetGenerator(Strict):
    """WGAN-GP's ResNet generator (docs/paper.md 5).

    A linear layer, residual blocks that each double the side, batch norm, tanh.
    """

    family: Literal["resnet"]
    latent: int = Field(128, ge=1, le=LARGEST_WIDTH, description="length of z")
    width: int = Field(ge=1, le=LARGEST_WIDTH, description="channels of the first map")
    bottom_width: int = Field(ge=1, le=LARGEST_SIDE, description="side of the first map in pixels")
    blocks: tuple[int, ...] = Field(
        min_length=1, description="channels after every residual block, each of which doubles the side"
    )
    upsample: Upsample = "nearest"
    init_gain: float = Field(
        1.0, gt=0, description="gain of the Xavier-uniform 3 x 3 convolutions in the blocks; other layers have gain 1"
    )

    @property
    def resolution(self) -> int:
        """Side of the generated image in pixels."""
        return self.bottom_width << len(self.blocks)


class ResNetBlock(Strict):
    """One residual block of the discriminator."""

    width: int = Field(ge=1, le=LARGEST_WIDTH, description="output channels")
    downsample: bool = Field(False, description="ends with 2 x 2 average pooling")


class ResNetDiscriminator(Strict):
    """The ResNet discriminator of WGAN-GP (docs/paper.md 5).

    With `spectral_norm` and `pool: sum` it is that of SN-GAN, which AutoGAN uses too.
    """

    family: Literal["resnet"]
    blocks: tuple[ResNetBlock, ...] = Field(min_length=1)
    pool: Literal["mean", "sum"] = Field("mean", description="pooling of the last map, before the linear head")
    head_bias: bool = True
    spectral_norm: bool = Field(
        False,
        description="divide every weight by its largest singular value; one power iteration per discriminator step",
    )
    init_gain: float = Field(
        1.0, gt=0, description="gain of the Xavier-uniform 3 x 3 convolutions; shortcuts and the head have gain 1"
    )

    def check_resolution(self, resolution: int) -> None:
        """Raise ValueError unless images of `resolution` pixels can be halved as often as the blocks do."""
        factor = 2 ** sum(block.downsample for block in self.blocks)
        if resolution % factor:
            raise ValueError(f"{resolution} pixels cannot be halved {factor.bit_length() - 1} times")


class Cell(Strict):
    """One cell that AutoGAN's search found. It doubles the side."""

    upsample: Upsample
    skips: tuple[int, ...] = Field(
        (), description="earlier cells, from 0; the output of their first convolution is added to this cell's"
    )
    shortcut: bool = Field(description="add the upsampled input, after a 1 x 1 convolution, to the output")


class AutoGANGenerator(Strict):
    """The generator that AutoGAN's search found (docs/paper.md 5).

    Cells without normalization, skips between cells, batch norm and tanh at the end.
    """

    family: Literal["autogan"]
    latent: int = Field(128, ge=1, le=LARGEST_WIDTH, description="length of z")
    width: int = Field(256, ge=1, le=LARGEST_WIDTH, description="channels of every map")
    bottom_width: int = Field(ge=1, le=LARGEST_SIDE, description="side of the first map in pixels")
    cells: tuple[Cell, ...] = Field(min_length=1)

    @property
    def resolution(self) -> int:
        """Side of the generated image in pixels."""
        return self.bottom_width << len(self.cells)

    @model_validator(mode="after")
    def _skips_come_from_earlier_cells(self) -> Self:
        for i, cell in enumerate(self.cells):
            if any(not 0 <= skip < i for skip in cell.skips):
                raise ValueError(
                    f"cell {i}: `skips` may only name earlier cells, 0 to {i - 1}"
                    if i
                    else "cell 0: `skips` must be empty, as there is no earlier cell"
                )
        return self
