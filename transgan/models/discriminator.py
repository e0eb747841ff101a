"""The multi-scale discriminator (paper section 3.1).

The image enters every stage again, in patches of twice the size. A class token gives the score.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transgan.models.base import DiscriminatorNetwork
from transgan.models.blocks import Block, BlockInputs, BlockShape, Stage, split_noise
from transgan.models.grid_attention import attention_patterns
from transgan.models.normalization import build_norm
from transgan.models.resampling import average_pool
from transgan.schema.model import TransformerDiscriminator


class Discriminator(DiscriminatorNetwork):
    """TransGAN's discriminator in every configuration (docs/paper.md 4.2, 4.4, 4.5, 4.7). With one stage: a plain ViT.

    Run the forward pass of a gradient penalty inside `transgan.models.double_backward()`.
    """

    def __init__(self, config: TransformerDiscriminator, resolution: int) -> None:
        super().__init__()
        config.check_resolution(resolution)
        self.config = config
        self.checkpoint_activations = False
        self.patches = nn.ModuleList(patch_embedding(config, i) for i in range(len(config.stages)))
        self._sides = [resolution // (config.patch * 2**i) for i in range(len(config.stages))]
        stages = [
            Stage(
                self._shape(width),
                side,
                attention_patterns(stage.blocks, config.wide, side),
                relative_position=config.relative_position,
                class_token=config.class_token == "first",
            )
            for stage, side, width in zip(config.stages, self._sides, config.widths, strict=True)
        ]
        self.stages = nn.ModuleList(stages)
        self.class_token = nn.Parameter(torch.empty(1, 1, config.width))
        self.last_block = (
            Block(self._shape(config.width), None, relative_position=False) if config.class_token == "last" else None
        )
        self.norm = build_norm(config.norm, config.width)
        self.head = nn.Linear(config.width, 1)
        self._noise_tokens = [tokens for stage in stages for tokens in stage.noise_tokens]
        if self.last_block is not None:
            self._noise_tokens.append(self._sides[-1] ** 2 + 1 if config.noise else 0)
        self.noise_width = sum(self._noise_tokens)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        self.apply(_initialize)

    def _shape(self, width: int) -> BlockShape:
        config = self.config
        gain = math.sqrt(0.5) if config.norm == "none" else 1.0  # keeps the variance where no norm does
        return BlockShape(width, config.heads, config.mlp_ratio, config.norm, config.noise, gain)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> scores (B,), unbounded.

        `noise` (B, noise_width) is standard normal; the discriminator samples it if it is not given.
        """
        inputs = BlockInputs(split_noise(images, noise, self._noise_tokens), recompute=self.checkpoint_activations)
        class_token_first = self.class_token if self.last_block is None else None
        x = images.new_empty(0)
        for i, (embed, stage, side) in enumerate(zip(self.patches, self.stages, self._sides, strict=True)):
            tokens = embed(images)  # (B, side * side, C')
            # The previous scale, pooled from (B, 4 * side * side, C) to (B, side * side, C), adds its channels.
            x = stage(
                torch.cat([average_pool(x, 2 * side), tokens], 2) if i else tokens,
                inputs,
                class_token=class_token_first,
            )
        if self.last_block is not None:
            # (B, side * side, C) -> (B, 1 + side * side, C)
            x = inputs.apply(self.last_block, torch.cat([self.class_token.expand(len(x), -1, -1), x], 1))
        return self.head(self.norm(x[:, 0])).squeeze(1)  # type: ignore[no-any-return]


class PatchEmbedding(nn.Conv2d):
    """The linear map from patches of the image to tokens.

    It has the weights of a convolution whose stride is the distance of patches, but is computed as a product with the
    patches. The double backward of the convolution would correlate whole maps with each other, as kernels, and no
    library is made for kernels of that size.
    """

    def __init__(self, channels: int, side: int, stride: int) -> None:
        """Patches of `side` x `side` pixels, `stride` pixels from one to the next. They may overlap."""
        super().__init__(3, channels, side, stride, (side - stride) // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> tokens (B, H / stride * W / stride, C)."""
        (side, _), (stride, _) = self.kernel_size, self.stride
        if side == stride:
            batch, channels, height, width = images.shape
            # (B, 3, rows, side, columns, side) -> (B, rows, columns, 3, side, side)
            patches = images.view(batch, channels, height // side, side, width // side, side).permute(0, 2, 4, 1, 3, 5)
            patches = patches.reshape(batch, -1, channels * side * side)
        else:
            patches = F.unfold(images, side, padding=(side - stride) // 2, stride=stride).transpose(1, 2)
        return F.linear(patches, self.weight.flatten(1), self.bias)


def patch_embedding(config: TransformerDiscriminator, scale: int) -> PatchEmbedding:
    """The patch embedding of one scale, counted from 0. Patches of the first may overlap (docs/paper.md 4.5)."""
    patch = config.patch * 2**scale
    overlap = config.overlapping and scale == 0
    return PatchEmbedding(config.embeddings[scale], 2 * patch if overlap else patch, patch)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
