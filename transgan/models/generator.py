"""The generator: a latent becomes a small map of tokens that grows stage by stage into an image (paper section 3, paper.md 4.1, 4.3, 4.5)."""

import torch
from torch import Tensor, nn

from transgan.models.attention import forms
from transgan.models.base import GeneratorNetwork
from transgan.models.blocks import BlockShape, Pass, Stage, split_noise
from transgan.models.kernels.linear import Linear
from transgan.models.resampling import bicubic, blur, pixel_shuffle
from transgan.schema.model import TransformerGenerator


class Generator(GeneratorNetwork):
    """TransGAN's generator in every configuration. There is no output non-linearity: values lie about [-1, 1] but are unbounded.

    `checkpoint_activations`: blocks recompute in the backward pass. `set_progress` moves the first version's locality schedule.
    """

    def __init__(self, config: TransformerGenerator) -> None:
        super().__init__()
        self.config = config
        self.latent = config.latent
        self.resolution = config.resolution
        self.checkpoint_activations = False
        self.project = Linear(config.latent, config.bottom_width**2 * config.width)
        self.embed = LatentEmbedding(config) if config.latent_attention else None
        stages = [
            Stage(
                BlockShape(
                    width=width,
                    heads=config.heads,
                    mlp_ratio=config.mlp_ratio,
                    norm=config.norm,
                    noise=config.noise,
                    context_width=config.width if config.latent_attention else None,
                ),
                side,
                forms(stage.blocks, config.wide, side),
                config.absolute_position,
                config.relative_position,
            )
            for stage, side, width in zip(config.stages, config.sides, config.widths, strict=True)
        ]
        self.stages = nn.ModuleList(stages)
        self.to_rgb = nn.Linear(config.widths[-1], 3)  # per token: the released 1 x 1 convolution
        nn.init.xavier_uniform_(self.to_rgb.weight)
        self._noise_tokens = [tokens for stage in stages for tokens in stage.noise_tokens]
        self.noise_width = sum(self._noise_tokens)
        self.set_progress(0)

    def set_progress(self, images: int) -> None:
        """Choose the locality band that holds after `images` real images were shown to the discriminator; nothing without a schedule."""
        self._band = next((step.width for step in self.config.locality_band if images < step.until), None)

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, latent) -> (B, 3, H, W). `noise` (B, noise_width), standard normal, is drawn here unless given."""
        shared = Pass(
            split_noise(z, noise, self._noise_tokens),
            None if self.embed is None else self.embed(z),
            self.checkpoint_activations,
        )
        side = self.config.bottom_width
        x = self.project(z).view(len(z), side * side, self.config.width)
        for i, (stage, module) in enumerate(zip(self.config.stages, self.stages, strict=True)):
            if i:
                x = blur(x, side) if stage.blur else x
                x = pixel_shuffle(x, side) if stage.upsample == "pixel_shuffle" else bicubic(x, side)
                side *= 2
            x = module(x, shared, self._band if i == len(self.stages) - 1 else None)
        return self.to_rgb(x).transpose(1, 2).reshape(len(z), 3, side, side)  # type: ignore[no-any-return]


class LatentEmbedding(nn.Module):
    """The latent as a short sequence that every block may attend to (released CelebA-HQ generator)."""

    def __init__(self, config: TransformerGenerator) -> None:
        super().__init__()
        self.project = Linear(config.latent, config.bottom_width**2 * config.width)
        self.position = nn.Parameter(torch.zeros(1, config.bottom_width**2, config.width))

    def forward(self, z: Tensor) -> Tensor:
        """(B, latent) -> (B, bottom_width^2, width)."""
        return self.project(z).view(len(z), *self.position.shape[1:]) + self.position  # type: ignore[no-any-return]
