"""Configuration of the networks: TransGAN's, described by stages, or a baseline's. `family` tells them apart.

The widths of TransGAN's stages follow from the first: a pixel shuffle divides the channels by four, a bicubic
upsampling keeps them (paper section 3.1; docs/paper.md 4.1, 4.3). The sides double from `bottom_width` at every stage.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from transgan.schema.base import Strict, added_option
from transgan.schema.baselines import AutoGANGenerator, ResNetDiscriminator, ResNetGenerator
from transgan.schema.limits import LARGEST_SIDE, LARGEST_WIDTH, MOST_BLOCKS
from transgan.schema.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator

Norm = Literal["layer", "pixel", "none"]


class Attention(Strict):
    """A form of self-attention (paper sections 3.2 and 4.3; docs/paper.md 1.4)."""

    attention: Literal["standard", "grid", "axis", "nystrom"] = Field(
        "standard",
        description="standard: the whole map; grid: non-overlapping tiles; axis: rows and columns, alternating from "
        "block to block; nystrom: landmarks",
    )
    window: int | None = Field(
        None,
        ge=1,
        le=LARGEST_SIDE,
        description="side of a tile in tokens (grid only); a map of this side or smaller is one tile",
    )
    landmarks: int = Field(
        64, ge=1, le=LARGEST_WIDTH, description="number of landmarks (nystrom only); at most one per token"
    )

    @model_validator(mode="after")
    def _grid_has_window(self) -> Self:
        if self.attention == "grid" and self.window is None:
            raise ValueError("`attention: grid` needs a `window`")
        return self

    def check_side(self, side: int) -> None:
        """Raise ValueError unless a map of `side` x `side` tokens divides into the tiles or among the landmarks."""
        if self.attention == "grid" and self.window is not None and side > self.window and side % self.window:
            raise ValueError(f"a side of {side} tokens does not divide into tiles of {self.window}")
        if self.attention == "nystrom" and side * side > self.landmarks and side * side % self.landmarks:
            raise ValueError(f"{side * side} tokens do not divide among {self.landmarks} landmarks")


class Blocks(Strict):
    """Consecutive transformer blocks with the same self-attention: their own, or the network's setting `wide`."""

    depth: int = Field(ge=0, le=MOST_BLOCKS, description="number of blocks")
    attention: Literal["standard", "grid", "axis", "nystrom", "wide"] = Field(
        "standard", description="as in `wide`; wide: the network's setting `wide`"
    )
    window: int | None = Field(None, ge=1, le=LARGEST_SIDE, description="side of a tile in tokens (grid only)")
    landmarks: int = Field(64, ge=1, le=LARGEST_WIDTH, description="number of landmarks (nystrom only)")

    def resolve(self, wide: Attention) -> Attention:
        """The self-attention of these blocks in a network with the setting `wide`."""
        if self.attention == "wide":
            return wide
        return Attention(attention=self.attention, window=self.window, landmarks=self.landmarks)

    @model_validator(mode="after")
    def _attention_is_complete(self) -> Self:
        self.resolve(Attention())
        return self


# Grid self-attention where the map is larger than 32 x 32 tokens (paper section 3.2).
GRID = Attention(attention="grid", window=16)


class GeneratorStage(Strict):
    """One resolution of the generator: how the previous stage's map is upsampled to it, and its blocks."""

    upsample: Literal["pixel_shuffle", "bicubic"] = Field(
        "pixel_shuffle", description="upsampling before this stage (ignored in the first)"
    )
    blur: bool = Field(
        False, description="low-pass filter before upsampling: bicubic x4, then averages (released CelebA-HQ generator)"
    )
    blocks: tuple[Blocks, ...]


class BandStep(Strict):
    """One step of the locality schedule of the paper's first version."""

    until: int = Field(ge=1, description="this band applies until so many real images have been shown")
    width: int = Field(ge=0, le=LARGEST_WIDTH, description="token i attends to j if |i - j| <= width, in raster order")


class TransformerGenerator(Strict):
    """TransGAN's generator (paper section 3.1; docs/paper.md 4.1, 4.3, 4.5, 4.7)."""

    family: Literal["transformer"] = "transformer"
    latent: int = Field(ge=1, le=LARGEST_WIDTH, description="length of z")
    width: int = Field(ge=1, le=LARGEST_WIDTH, description="channels of the first stage")
    bottom_width: int = Field(ge=1, le=LARGEST_SIDE, description="side of the first stage in tokens")
    heads: int = Field(4, ge=1, le=LARGEST_WIDTH)
    mlp_ratio: int = Field(4, ge=1, le=MOST_BLOCKS)
    norm: Norm = "layer"
    relative_position: bool = True
    absolute_position: bool = True
    noise: bool = Field(False, description="noise with a learnt strength, added before qkv in every block")
    latent_attention: bool = Field(
        False, description="cross-attention to an embedding of z in every block (released CelebA-HQ generator)"
    )
    locality_band: tuple[BandStep, ...] = Field(
        (), description="band mask of the last block, widening during training (first version of the paper)"
    )
    image_input: bool = added_option(
        False,
        description="a second linear layer that takes an image of the first stage's size in place of z, for the "
        "regularizer super_resolution (first version of the paper)",
    )
    wide: Attention = Field(
        GRID, description="self-attention of the blocks with `attention: wide`: one setting for all large maps"
    )
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

    @property
    def tile_sides(self) -> tuple[int, ...]:
        """Sides of the tiles of grid self-attention in pixels of the image, ascending; none if no map has two tiles.

        A tile of `window` tokens in a map of half the image's side spans twice as many pixels.
        """
        forms = [
            (group.resolve(self.wide), side)
            for stage, side in zip(self.stages, self.sides, strict=True)
            for group in stage.blocks
            if group.depth
        ]
        windows = [(form.window, side) for form, side in forms if form.attention == "grid"]
        tiled = {window * self.resolution // side for window, side in windows if window is not None and window < side}
        return tuple(sorted(tiled))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for i, (stage, side, width) in enumerate(zip(self.stages, self.sides, self.widths, strict=True)):
            previous = self.widths[max(i - 1, 0)]
            if i and stage.upsample == "pixel_shuffle" and previous % 4:
                raise ValueError(f"stage {i}: a pixel shuffle needs channels divisible by 4, has {previous}")
            if width % self.heads:
                raise ValueError(f"stage {i}: {width} channels are not divisible by {self.heads} heads")
            _check_side(f"stage {i}", stage.blocks, self.wide, side)
        if self.locality_band and (
            not self.stages[-1].blocks or self.stages[-1].blocks[-1].resolve(self.wide).attention != "standard"
        ):
            raise ValueError(
                "`locality_band` masks the last block of the last stage, which must have standard attention"
            )
        if self.image_input and (self.noise or self.latent_attention):
            raise ValueError("`image_input` excludes `noise` and `latent_attention`, which come with a latent")
        return self


class DiscriminatorStage(Strict):
    """One scale of the discriminator: the share of its patch embedding in the full width, and its blocks."""

    share: float = Field(gt=0, le=1, description="channels of its patch embedding, as a share of the full width")
    blocks: tuple[Blocks, ...]


class TransformerDiscriminator(Strict):
    """TransGAN's multi-scale discriminator (paper section 3.1; docs/paper.md 4.2, 4.4, 4.5, 4.7).

    With one stage it is a plain vision transformer.
    """

    family: Literal["transformer"] = "transformer"
    width: int = Field(
        ge=1, le=LARGEST_WIDTH, description="channels of the last stage: the sum over the stages' shares"
    )
    heads: int = Field(4, ge=1, le=LARGEST_WIDTH)
    mlp_ratio: int = Field(4, ge=1, le=MOST_BLOCKS)
    norm: Norm = "layer"
    patch: int = Field(
        ge=1, le=LARGEST_SIDE, description="side of the first scale's patches in pixels; it doubles at every scale"
    )
    overlapping: bool = Field(
        False, description="the first patch embedding is a convolution of kernel 2P, stride P, padding P/2"
    )
    relative_position: bool = True
    noise: bool = True
    class_token: Literal["last", "first"] = Field(
        "last",
        description="last: joins the tokens for one more block at the end; first: passes through all blocks (first "
        "version of the paper)",
    )
    wide: Attention = Field(GRID, description="self-attention of the blocks with `attention: wide`")
    stages: tuple[DiscriminatorStage, ...] = Field(min_length=1)

    @property
    def embeddings(self) -> tuple[int, ...]:
        """Channels of every patch embedding."""
        return tuple(round(self.width * stage.share) for stage in self.stages)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every stage: those of the previous stages, and those of its own embedding."""
        return tuple(sum(self.embeddings[: i + 1]) for i in range(len(self.stages)))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.widths[-1] != self.width:
            raise ValueError(f"the stages' shares give {self.widths[-1]} channels, but `width` is {self.width}")
        for i, width in enumerate(self.widths):
            if width % self.heads:
                raise ValueError(f"stage {i}: {width} channels are not divisible by {self.heads} heads")
        if self.overlapping and self.patch % 2:
            raise ValueError("overlapping patches need an even `patch`")
        if self.class_token == "first":
            self._check_plain_transformer()
        return self

    def _check_plain_transformer(self) -> None:
        attention = {group.resolve(self.wide).attention for stage in self.stages for group in stage.blocks}
        if len(self.stages) > 1 or attention != {"standard"} or self.relative_position:
            raise ValueError(
                "`class_token: first` needs a single stage with standard attention and `relative_position: false`"
            )

    def check_resolution(self, resolution: int) -> None:
        """Raise ValueError unless images of `resolution` pixels divide into this discriminator's patches and tiles."""
        coarsest = self.patch * 2 ** (len(self.stages) - 1)
        if resolution % coarsest:
            raise ValueError(f"{resolution} pixels do not divide into patches of {coarsest}")
        for i, stage in enumerate(self.stages):
            _check_side(f"stage {i}", stage.blocks, self.wide, resolution // (self.patch * 2**i))


def _check_side(where: str, groups: tuple[Blocks, ...], wide: Attention, side: int) -> None:
    for group in groups:
        try:
            group.resolve(wide).check_side(side)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def _transformer_by_default(content: Any) -> Any:
    return {"family": "transformer", **content} if isinstance(content, dict) else content


_by_family = Field(discriminator="family", description="without `family`: transformer")
GeneratorConfig = Annotated[
    TransformerGenerator | ResNetGenerator | AutoGANGenerator | StyleGAN2Generator,
    _by_family,
    BeforeValidator(_transformer_by_default),
]
DiscriminatorConfig = Annotated[
    TransformerDiscriminator | ResNetDiscriminator | StyleGAN2Discriminator,
    _by_family,
    BeforeValidator(_transformer_by_default),
]

# Validates plain data as the configuration of a generator of any family.
generator_config: TypeAdapter[GeneratorConfig] = TypeAdapter(GeneratorConfig)


class ModelConfig(Strict):
    """A generator and a discriminator, each of any family."""

    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
