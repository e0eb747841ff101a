"""AutoGAN's searched generator (Gong et al. 2019; paper.md 5). Its discriminator is SN-GAN's: transgan.models.baselines.resnet."""

import torch.nn.functional as F
from torch import Tensor, nn

from transgan.models.activation_checkpointing import apply_block
from transgan.models.base import GeneratorNetwork
from transgan.models.baselines.resnet import convolution, rgb_head, upsampled
from transgan.schema import baselines


class AutoGANGenerator(GeneratorNetwork):
    """A linear layer, cells that each double the side and pass maps on to later cells, batch norm, ReLU, 3 x 3 convolution, tanh.

    The batch norm before the picture is the only one, with running statistics in evaluation mode: there a picture follows from its latent alone.
    """

    def __init__(self, config: baselines.AutoGANGenerator) -> None:
        super().__init__()
        self.config = config
        self.latent = config.latent
        self.resolution = config.resolution
        self.project = nn.Linear(config.latent, config.bottom_width**2 * config.width)
        self.cells = nn.ModuleList(_Cell(config.width, cell) for cell in config.cells)
        self.to_rgb = rgb_head(config.width)
        nn.init.normal_(self.to_rgb[0].weight, 1.0, 0.02)  # type: ignore[index]

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, latent) -> (B, 3, H, W) in [-1, 1]. There is no noise."""
        x = self.project(z).view(len(z), self.config.width, self.config.bottom_width, self.config.bottom_width)
        passed: list[Tensor] = []
        for config, cell in zip(self.config.cells, self.cells, strict=True):
            joined, x = apply_block(
                cell, x, *(passed[skip] for skip in config.skips), recompute=self.checkpoint_activations
            )
            passed.append(joined)
        return self.to_rgb(x)  # type: ignore[no-any-return]


class _Cell(nn.Module):
    """ReLU, upsampling, convolution, plus skips of earlier cells; ReLU, convolution, plus the upsampled input.

    What later cells get is the sum after the skips: in the released code they are added in place.
    """

    def __init__(self, width: int, config: baselines.Cell) -> None:
        super().__init__()
        self.upsample = config.upsample
        self.conv1, self.conv2 = convolution(width, width), convolution(width, width)
        self.skips = nn.ModuleList(convolution(width, width, size=1) for _ in config.skips)
        self.shortcut = convolution(width, width, size=1) if config.shortcut else None

    def forward(self, x: Tensor, *skipped: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) and earlier maps (B, C, h, w) -> the map that later cells get, and the output, both (B, C, 2 H, 2 W)."""
        joined = self.conv1(upsampled(F.relu(x), self.upsample))
        for convolve, earlier in zip(self.skips, skipped, strict=True):
            joined = joined + F.interpolate(convolve(earlier), size=joined.shape[2:], mode=self.upsample)
        out = self.conv2(F.relu(joined))
        return joined, out if self.shortcut is None else out + upsampled(self.shortcut(x), self.upsample)
