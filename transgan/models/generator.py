"""The generator: a latent becomes a small map of tokens, which grows by stages into an image (paper section 3.1)."""

import torch
from torch import Tensor, nn

from transgan.models.base import GeneratorNetwork
from transgan.models.blocks import BlockInputs, BlockShape, Stage, split_noise
from transgan.models.grid_attention import attention_patterns
from transgan.models.resampling import bicubic, blur, pixel_shuffle
from transgan.schema.model import TransformerGenerator


class Generator(GeneratorNetwork):
    """TransGAN's generator in every configuration (docs/paper.md 4.1, 4.3, 4.5, 4.7).

    There is no output non-linearity: pixel values are around [-1, 1] but unbounded. `set_progress` advances the
    locality schedule of the paper's first version.
    """

    band_width: Tensor | None

    def __init__(self, config: TransformerGenerator) -> None:
        super().__init__()
        self.config = config
        self.latent = config.latent
        self.resolution = config.resolution
        self.checkpoint_activations = False
        self.project = nn.Linear(config.latent, config.bottom_width**2 * config.width)
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
                attention_patterns(stage.blocks, config.wide, side),
                config.absolute_position,
                config.relative_position,
            )
            for stage, side, width in zip(config.stages, config.sides, config.widths, strict=True)
        ]
        self.stages = nn.ModuleList(stages)
        self.to_rgb = nn.Linear(config.widths[-1], 3)  # per token: the 1 x 1 convolution of the released code
        nn.init.xavier_uniform_(self.to_rgb.weight)
        self.project_image = nn.Linear(3, config.width) if config.image_input else None
        self.image_side = config.bottom_width if config.image_input else 0
        self._noise_tokens = [tokens for stage in stages for tokens in stage.noise_tokens]
        self.noise_width = sum(self._noise_tokens)
        # A tensor, so that compiled code serves every width. Not on the device "meta": no checkpoint has its value.
        width = torch.zeros((), dtype=torch.int64, device="cpu") if config.locality_band else None
        self.register_buffer("band_width", width, persistent=False)
        self.set_progress(0)

    def set_progress(self, images: int) -> None:
        """Choose the locality band for the time when the discriminator has been shown `images` real images."""
        width = next((step.width for step in self.config.locality_band if images < step.until), None)
        self.has_band = width is not None
        if self.band_width is not None and width is not None:
            self.band_width.fill_(width)

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """z (B, latent) -> images (B, 3, H, W).

        `noise` (B, noise_width) is standard normal; the generator samples it if it is not given.
        """
        z = self.latents(z)
        inputs = BlockInputs(
            split_noise(z, noise, self._noise_tokens),
            None if self.embed is None else self.embed(z),
            self.checkpoint_activations,
        )
        return self._grow(self.project(z).view(len(z), -1, self.config.width), inputs)

    def super_resolve(self, images: Tensor) -> Tensor:
        """Images (B, 3, bottom_width, bottom_width) -> (B, 3, H, W): a pixel becomes a token of the first stage.

        Only with `image_input`. The stages are those of `forward`; the projection of z is not used.
        """
        assert self.project_image is not None
        inputs = BlockInputs(split_noise(images, None, self._noise_tokens), recompute=self.checkpoint_activations)
        return self._grow(self.project_image(images.flatten(2).transpose(1, 2)), inputs)

    def _grow(self, x: Tensor, inputs: BlockInputs) -> Tensor:
        """Tokens of the first stage (B, bottom_width^2, width) -> images (B, 3, H, W)."""
        side = self.config.bottom_width
        band = self.band_width if self.has_band else None
        for i, (config, stage) in enumerate(zip(self.config.stages, self.stages, strict=True)):
            if i:
                x = blur(x, side) if config.blur else x
                x = pixel_shuffle(x, side) if config.upsample == "pixel_shuffle" else bicubic(x, side)
                side *= 2
            x = stage(x, inputs, band if i == len(self.stages) - 1 else None)
        # (B, H * W, 3) -> (B, 3, H, W)
        return self.to_rgb(x).transpose(1, 2).reshape(len(x), 3, side, side)  # type: ignore[no-any-return]


class LatentEmbedding(nn.Module):
    """The latent as a short sequence for cross-attention (released CelebA-HQ generator; docs/paper.md 4.5)."""

    def __init__(self, config: TransformerGenerator) -> None:
        super().__init__()
        self.project = nn.Linear(config.latent, config.bottom_width**2 * config.width)
        self.position = nn.Parameter(torch.zeros(1, config.bottom_width**2, config.width))

    def forward(self, z: Tensor) -> Tensor:
        """(B, latent) -> (B, bottom_width^2, width)."""
        return self.project(z).view(len(z), *self.position.shape[1:]) + self.position  # type: ignore[no-any-return]
