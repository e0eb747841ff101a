"""Configuration of the networks: TransGAN's, described by stages, or a baseline's, told apart by `family`.

TransGAN's widths follow from one number: a pixel shuffle divides the channels by four, a bicubic upsampling keeps them (paper, section 3.1;
paper.md 4.1 and 4.3). Sides follow from `bottom_width`, doubled at every stage.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from transgan.schema.base import Strict
from transgan.schema.baselines import AutoGANGenerator, ResNetDiscriminator, ResNetGenerator
from transgan.schema.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator

Norm = Literal["layer", "pixel", "none"]


class Attention(Strict):
    """A form of self-attention (paper sections 3.2 and 4.3; paper.md 1.4)."""

    attention: Literal["standard", "grid", "axis", "nystrom"] = Field(
        "standard",
        description="standard: the whole map; grid: non-overlapping tiles; axis: rows, then columns, block by block; nystrom: landmarks",
    )
    window: int | None = Field(
        None, ge=1, description="side of a tile in tokens (grid only); a map no larger is one tile"
    )
    landmarks: int = Field(
        64, ge=1, description="number of landmarks (nystrom only); a map with fewer tokens has one for each"
    )

    @model_validator(mode="after")
    def _grid_has_window(self) -> Self:
        if self.attention == "grid" and self.window is None:
            raise ValueError("`attention: grid` needs a `window`")
        return self

    def check_side(self, side: int) -> None:
        """Raise ValueError unless a map of `side` x `side` tokens divides into the form's tiles or landmarks."""
        if self.attention == "grid" and self.window is not None and side > self.window and side % self.window:
            raise ValueError(f"a side of {side} tokens does not divide into tiles of {self.window}")
        if self.attention == "nystrom" and side * side > self.landmarks and side * side % self.landmarks:
            raise ValueError(f"{side * side} tokens do not divide among {self.landmarks} landmarks")


class Blocks(Strict):
    """Consecutive transformer blocks that share one form of self-attention: of their own, or the network's form for `wide` maps."""

    depth: int = Field(ge=0, description="number of blocks")
    attention: Literal["standard", "grid", "axis", "nystrom", "wide"] = Field(
        "standard", description="as in `wide`; wide: what `wide` says"
    )
    window: int | None = Field(None, ge=1, description="side of a tile in tokens (grid only)")
    landmarks: int = Field(64, ge=1, description="number of landmarks (nystrom only)")

    def form(self, wide: Attention) -> Attention:
        """The form these blocks have in a network whose form for wide maps is `wide`."""
        if self.attention == "wide":
            return wide
        return Attention(attention=self.attention, window=self.window, landmarks=self.landmarks)

    @model_validator(mode="after")
    def _form_is_whole(self) -> Self:
        self.form(Attention())
        return self


# Grid self-attention where the map is larger than 32 x 32 tokens (paper section 3.2).
GRID = Attention(attention="grid", window=16)


class GeneratorStage(Strict):
    """One resolution of the generator: how it is reached from the one before, and its blocks."""

    upsample: Literal["pixel_shuffle", "bicubic"] = Field(
        "pixel_shuffle", description="how this stage is reached (ignored in the first)"
    )
    blur: bool = Field(
        False, description="bicubic x4 then average pooling before upsampling (released CelebA-HQ generator)"
    )
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
    latent_attention: bool = Field(
        False, description="cross-attention to an embedding of z in every block (released CelebA-HQ generator)"
    )
    locality_band: tuple[BandStep, ...] = Field(
        (), description="band mask of the last block while training (first version of the paper)"
    )
    wide: Attention = Field(
        GRID, description="form of the blocks that say `attention: wide`: one place to change it in all large maps"
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for i, (stage, side, width) in enumerate(zip(self.stages, self.sides, self.widths, strict=True)):
            previous = self.widths[max(i - 1, 0)]
            if i and stage.upsample == "pixel_shuffle" and previous % 4:
                raise ValueError(f"stage {i}: a pixel shuffle needs channels divisible by 4, has {previous}")
            if width % self.heads:
                raise ValueError(f"stage {i}: {width} channels are not divisible by {self.heads} heads")
            _forms_fit(f"stage {i}", stage.blocks, self.wide, side)
        if self.locality_band and (
            not self.stages[-1].blocks or self.stages[-1].blocks[-1].form(self.wide).attention != "standard"
        ):
            raise ValueError(
                "`locality_band` masks the last block of the last stage, which must have standard attention"
            )
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
    overlapping: bool = Field(
        False, description="the first patch embedding is a convolution of kernel 2P, stride P, padding P/2"
    )
    relative_position: bool = True
    noise: bool = True
    class_token: Literal["last", "first"] = Field(
        "last",
        description="last: joins the tokens for one more block at the end; first: goes through all blocks (first version of the paper)",
    )
    wide: Attention = Field(GRID, description="form of the blocks that say `attention: wide`")
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
        if self.class_token == "first":
            self._check_plain_transformer()
        return self

    def _check_plain_transformer(self) -> None:
        forms = {group.form(self.wide).attention for stage in self.stages for group in stage.blocks}
        if len(self.stages) > 1 or forms != {"standard"} or self.relative_position:
            raise ValueError(
                "`class_token: first` needs a single stage with standard attention and `relative_position: false`"
            )

    def check_resolution(self, resolution: int) -> None:
        """Raise ValueError unless pictures of `resolution` pixels divide into this discriminator's patches and tiles."""
        coarsest = self.patch * 2 ** (len(self.stages) - 1)
        if resolution % coarsest:
            raise ValueError(f"{resolution} pixels do not divide into patches of {coarsest}")
        for i, stage in enumerate(self.stages):
            _forms_fit(f"stage {i}", stage.blocks, self.wide, resolution // (self.patch * 2**i))


def _forms_fit(where: str, groups: tuple[Blocks, ...], wide: Attention, side: int) -> None:
    for group in groups:
        try:
            group.form(wide).check_side(side)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def _transformer_unless_said(content: Any) -> Any:
    return {"family": "transformer", **content} if isinstance(content, dict) else content


_by_family = Field(discriminator="family", description="without `family`: transformer")
GeneratorConfig = Annotated[
    TransformerGenerator | ResNetGenerator | AutoGANGenerator | StyleGAN2Generator,
    _by_family,
    BeforeValidator(_transformer_unless_said),
]
DiscriminatorConfig = Annotated[
    TransformerDiscriminator | ResNetDiscriminator | StyleGAN2Discriminator,
    _by_family,
    BeforeValidator(_transformer_unless_said),
]

# Reads a generator's configuration of any family from plain data.
generator_config: TypeAdapter[GeneratorConfig] = TypeAdapter(GeneratorConfig)


class ModelConfig(Strict):
    """A pair of networks, each of any family."""

    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
