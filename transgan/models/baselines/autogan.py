"""The generator that AutoGAN's search found (Gong et al. 2019; docs/paper.md 5).

Its discriminator is that of SN-GAN: `transgan.models.baselines.resnet`.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from transgan.models.activation_checkpointing import apply_block
from transgan.models.base import GeneratorNetwork
from transgan.models.baselines.resnet import convolution, rgb_head, upsampled
from transgan.schema import baselines


class AutoGANGenerator(GeneratorNetwork):
    """A linear layer, cells that each double the side, batch norm, ReLU, 3 x 3 convolution, tanh.

    Cells pass maps on to later cells. Batch norm stands before the last convolution only. In evaluation mode it uses
    running statistics, so that an image depends on its latent alone.
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
        """z (B, latent) -> images (B, 3, H, W) in [-1, 1]. `noise` is ignored."""
        x = self.project(self.latents(z)).view(
            len(z), self.config.width, self.config.bottom_width, self.config.bottom_width
        )
        earlier: list[Tensor] = []  # for the skips of later cells
        for config, cell in zip(self.config.cells, self.cells, strict=True):
            joined, x = apply_block(
                cell, x, *(earlier[skip] for skip in config.skips), recompute=self.checkpoint_activations
            )
            earlier.append(joined)
        return self.to_rgb(x)  # type: ignore[no-any-return]


class _Cell(nn.Module):
    """ReLU, upsampling, convolution, plus skips from earlier cells; ReLU, convolution, plus the upsampled input.

    Later cells receive the sum after the skips, because the released code adds them in place.
    """

    def __init__(self, width: int, config: baselines.Cell) -> None:
        super().__init__()
        self.upsample = config.upsample
        self.conv1, self.conv2 = convolution(width, width), convolution(width, width)
        self.skips = nn.ModuleList(convolution(width, width, size=1) for _ in config.skips)
        self.shortcut = convolution(width, width, size=1) if config.shortcut else None

    def forward(self, x: Tensor, *skipped: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W), earlier maps (B, C, h, w) -> the map for later cells and the output, both (B, C, 2 H, 2 W)."""
        joined = self.conv1(upsampled(F.relu(x), self.upsample))
        for convolve, earlier in zip(self.skips, skipped, strict=True):
            joined = joined + F.interpolate(convolve(earlier), size=joined.shape[2:], mode=self.upsample)
        out = self.conv2(F.relu(joined))
        return joined, out if self.shortcut is None else out + upsampled(self.shortcut(x), self.upsample)
