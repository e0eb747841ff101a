"""The ResNets of WGAN-GP (Gulrajani et al. 2017), SN-GAN's discriminator (Miyato et al. 2018); docs/paper.md 5.

AutoGAN uses the latter too. Upsampling and pooling commute with 1 x 1 convolutions. The shortcuts therefore convolve
the smaller of the two maps, which gives the same function at lower cost.
"""

from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from transgan.models.activation_checkpointing import apply_block
from transgan.models.base import DiscriminatorNetwork, GeneratorNetwork
from transgan.schema import baselines


class ResNetGenerator(GeneratorNetwork):
    """A linear layer, residual blocks that each double the side, batch norm, ReLU, 3 x 3 convolution, tanh.

    Batch norms use the statistics of the forward pass in training and running statistics in evaluation mode, where an
    image depends on its latent alone.
    """

    def __init__(self, config: baselines.ResNetGenerator) -> None:
        super().__init__()
        self.config = config
        self.latent = config.latent
        self.resolution = config.resolution
        self.project = nn.Linear(config.latent, config.bottom_width**2 * config.width)
        self.blocks = nn.ModuleList(
            _UpBlock(inputs, outputs, config) for inputs, outputs in pairwise((config.width, *config.blocks))
        )
        self.to_rgb = rgb_head(config.blocks[-1])
        nn.init.xavier_uniform_(self.project.weight)

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """z (B, latent) -> images (B, 3, H, W) in [-1, 1]. `noise` is ignored."""
        x = self.project(self.latents(z)).view(
            len(z), self.config.width, self.config.bottom_width, self.config.bottom_width
        )
        for block in self.blocks:
            x = apply_block(block, x, recompute=self.checkpoint_activations)
        return self.to_rgb(x)  # type: ignore[no-any-return]


class ResNetDiscriminator(DiscriminatorNetwork):
    """Residual blocks of ReLUs and 3 x 3 convolutions without normalization, pooling, and a linear head.

    With `spectral_norm` every weight is divided by an estimate of its largest singular value. Its singular vectors take
    one step of the power iteration per update (`begin_step`), as in the algorithm of the paper, and none in a forward
    pass. Results therefore depend neither on the number of passes nor on micro-batches, and recomputed blocks use the
    same weights.
    """

    def __init__(self, config: baselines.ResNetDiscriminator, resolution: int) -> None:
        super().__init__()
        config.check_resolution(resolution)
        self.config = config
        widths = [3, *(block.width for block in config.blocks)]
        self.blocks = nn.ModuleList(
            _DownBlock(inputs, block, first=i == 0, gain=config.init_gain)
            for i, (inputs, block) in enumerate(zip(widths, config.blocks, strict=False))
        )
        self.head = nn.Linear(widths[-1], 1, bias=config.head_bias)
        nn.init.xavier_uniform_(self.head.weight)
        if config.spectral_norm:
            for layer in _layers(self):
                spectral_norm(layer)
            self.train(self.training)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> scores (B,), unbounded. `noise` is ignored."""
        x = images
        for block in self.blocks:
            x = apply_block(block, x, recompute=self.checkpoint_activations)
        pooled = F.relu(x).mean((2, 3)) if self.config.pool == "mean" else F.relu(x).sum((2, 3))
        return self.head(pooled).squeeze(1)  # type: ignore[no-any-return]

    @torch.no_grad()
    def begin_step(self) -> None:
        """Take one step of the power iteration of every spectrally normalized weight."""
        if self.config.spectral_norm:
            for layer in _layers(self):
                layer.parametrizations.weight[0].train()  # type: ignore[union-attr, index]
                _ = layer.weight
                layer.parametrizations.weight[0].eval()  # type: ignore[union-attr, index]

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers but leave the power iteration to `begin_step`."""
        super().train(mode)
        if self.config.spectral_norm:
            for layer in _layers(self):
                layer.parametrizations.weight[0].eval()  # type: ignore[union-attr, index]
        return self


class _UpBlock(nn.Module):
    """(B, C, H, W) -> (B, D, 2 H, 2 W).

    Norm, ReLU, upsampling, convolution, norm, ReLU, convolution, plus the upsampled input.
    """

    def __init__(self, inputs: int, outputs: int, config: baselines.ResNetGenerator) -> None:
        super().__init__()
        self.upsample = config.upsample
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1, self.conv2 = (
            convolution(inputs, outputs, config.init_gain),
            convolution(outputs, outputs, config.init_gain),
        )
        self.shortcut = convolution(inputs, outputs, size=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(upsampled(F.relu(self.norm1(x)), self.upsample))
        h = self.conv2(F.relu(self.norm2(h)))
        return h + upsampled(self.shortcut(x), self.upsample)  # type: ignore[no-any-return]


class _DownBlock(nn.Module):
    """(B, C, H, W) -> (B, D, H, W), or half the side with `downsample`.

    ReLU (not in the `first` block), convolution, ReLU, convolution, pooling, plus a shortcut.
    """

    def __init__(self, inputs: int, config: baselines.ResNetBlock, first: bool, gain: float) -> None:
        super().__init__()
        self.first = first
        self.downsample = config.downsample
        hidden = config.width if first else inputs
        self.conv1, self.conv2 = convolution(inputs, hidden, gain), convolution(hidden, config.width, gain)
        self.shortcut = (
            convolution(inputs, config.width, size=1) if config.downsample or inputs != config.width else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if not self.downsample:
            return h + self.shortcut(x)  # type: ignore[no-any-return]
        return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))  # type: ignore[no-any-return]


def convolution(inputs: int, outputs: int, gain: float = 1.0, size: int = 3) -> nn.Conv2d:
    """A convolution that keeps the side of the map, with Xavier-uniform weights."""
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    return layer


def upsampled(x: Tensor, mode: baselines.Upsample) -> Tensor:
    """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
    return F.interpolate(x, scale_factor=2, mode=mode)


def rgb_head(width: int) -> nn.Module:
    """From the last map (B, width, H, W) to the image (B, 3, H, W): batch norm, ReLU, 3 x 3 convolution, tanh."""
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), convolution(width, 3), nn.Tanh())


def _layers(module: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """All convolutions and linear layers."""
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
