"""Configuration of the networks: one generator class and one discriminator class, described by stages.

Widths follow from one number: a pixel shuffle divides the channels by four, a bicubic upsampling keeps them (paper, section 3.1;
paper.md 4.1 and 4.3). Sides follow from `bottom_width`, doubled at every stage.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict

Norm = Literal["layer", "pixel", "none"]


class Blocks(Strict):
    """Consecutive transformer blocks that share one form of self-attention."""

    depth: int = Field(ge=0, description="number of blocks")
    attention: Literal["standard", "grid", "axis", "nystrom"] = Field(
        "standard", description="standard: the whole map; grid: non-overlapping tiles; axis: rows then columns; nystrom: landmarks"
    )
    window: int | None = Field(None, ge=1, description="side of a tile in tokens (grid only); a map no larger is one tile")
    landmarks: int = Field(64, ge=1, description="number of landmarks (nystrom only)")

    @model_validator(mode="after")
    def _grid_has_window(self) -> Self:
        if (self.attention == "grid") != (self.window is not None):
            raise ValueError("`window` is given with `attention: grid`, and only then")
        return self


class GeneratorStage(Strict):
    """One resolution of the generator: how it is reached from the one before, and its blocks."""

    upsample: Literal["pixel_shuffle", "bicubic"] = Field("pixel_shuffle", description="how this stage is reached (ignored in the first)")
    blur: bool = Field(False, description="bicubic x4 then average pooling before upsampling (released CelebA-HQ generator)")
    blocks: tuple[Blocks, ...]


class BandStep(Strict):
    """One step of the first version's locality schedule."""

    until: int = Field(ge=1, description="real images shown up to which this band holds")
    width: int = Field(ge=0, description="tokens attend to |i - j| <= width of the flattened index")


class TransformerGenerator(Strict):
    """TransGAN's generator (paper section 3.1, paper.md 4.1, 4.3, 4.5, 4.7)."""

    family: Literal["transformer"] = "transformer"
    latent: int = Field(ge=1, description="length of z")
    width: int = Field(ge=1, description="channels of the first stage")
    bottom_width: int = Field(ge=1, description="side of the first stage in tokens")
    heads: int = Field(4, ge=1)
    mlp_ratio: int = Field(4, ge=1)
    norm: Norm = "layer"
    relative_position: bool = True
    absolute_position: bool = True
    noise: bool = Field(False, description="learnt-strength noise added before qkv in every block")
    latent_attention: bool = Field(False, description="cross-attention to an embedding of z in every block (released CelebA-HQ generator)")
    locality_band: tuple[BandStep, ...] = Field((), description="band mask of the last block while training (first version of the paper)")
    stages: tuple[GeneratorStage, ...] = Field(min_length=1)

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of every stage in tokens."""
        return tuple(self.bottom_width * 2**i for i in range(len(self.stages)))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every stage."""
        widths = [self.width]
        for stage in self.stages[1:]:
            widths.append(widths[-1] // 4 if stage.upsample == "pixel_shuffle" else widths[-1])
        return tuple(widths)

    @property
    def resolution(self) -> int:
        """Side of the generated image in pixels."""
        return self.sides[-1]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for i, (stage, side, width) in enumerate(zip(self.stages, self.sides, self.widths, strict=True)):
            previous = self.widths[max(i - 1, 0)]
            if i and stage.upsample == "pixel_shuffle" and previous % 4:
                raise ValueError(f"stage {i}: a pixel shuffle needs channels divisible by 4, has {previous}")
            if width % self.heads:
                raise ValueError(f"stage {i}: {width} channels are not divisible by {self.heads} heads")
            _tiles_fit(f"stage {i}", stage.blocks, side)
        return self


class DiscriminatorStage(Strict):
    """One scale of the discriminator: its patch embedding's share of the full width, and its blocks."""

    share: float = Field(gt=0, le=1, description="channels its patch embedding adds, as a share of the full width")
    blocks: tuple[Blocks, ...]


class TransformerDiscriminator(Strict):
    """TransGAN's multi-scale discriminator (paper section 3.1, paper.md 4.2, 4.4, 4.5, 4.7). One stage: the single-scale ViT."""

    family: Literal["transformer"] = "transformer"
    width: int = Field(ge=1, description="channels of the last stage; the shares add up to it")
    heads: int = Field(4, ge=1)
    mlp_ratio: int = Field(4, ge=1)
    norm: Norm = "layer"
    patch: int = Field(ge=1, description="patch side of the first scale in pixels; every further scale doubles it")
    overlapping: bool = Field(False, description="the first patch embedding is a convolution of kernel 2P, stride P, padding P/2")
    relative_position: bool = True
    noise: bool = True
    stages: tuple[DiscriminatorStage, ...] = Field(min_length=1)

    @property
    def embeddings(self) -> tuple[int, ...]:
        """Channels of every patch embedding."""
        return tuple(round(self.width * stage.share) for stage in self.stages)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every stage: those of the stages before, concatenated with its own embedding."""
        return tuple(sum(self.embeddings[: i + 1]) for i in range(len(self.stages)))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.widths[-1] != self.width:
            raise ValueError(f"the stages' shares give {self.widths[-1]} channels, `width` says {self.width}")
        for i, width in enumerate(self.widths):
            if width % self.heads:
                raise ValueError(f"stage {i}: {width} channels are not divisible by {self.heads} heads")
        if self.overlapping and self.patch % 2:
            raise ValueError("overlapping patches need an even `patch`")
        return self

    def check_resolution(self, resolution: int) -> None:
        """Raise ValueError unless pictures of `resolution` pixels divide into this discriminator's patches and tiles."""
        coarsest = self.patch * 2 ** (len(self.stages) - 1)
        if resolution % coarsest:
            raise ValueError(f"{resolution} pixels do not divide into patches of {coarsest}")
        for i, stage in enumerate(self.stages):
            _tiles_fit(f"stage {i}", stage.blocks, resolution // (self.patch * 2**i))


def _tiles_fit(where: str, groups: tuple[Blocks, ...], side: int) -> None:
    for group in groups:
        if group.window is not None and side > group.window and side % group.window:
            raise ValueError(f"{where}: a side of {side} tokens does not divide into tiles of {group.window}")


class ModelConfig(Strict):
    """A pair of networks."""

    generator: TransformerGenerator
    discriminator: TransformerDiscriminator
