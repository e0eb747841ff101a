"""StyleGAN2, written from the papers (Karras et al. 2019, 2020; docs/paper.md 5).

A mapping network, a synthesis network with skip connections, and a residual discriminator.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from transgan.models.activation_checkpointing import apply_block
from transgan.models.base import DiscriminatorNetwork, StyledGenerator
from transgan.models.baselines.stylegan2_layers import (
    ROOT_HALF,
    EqualizedConv,
    EqualizedLinear,
    StyledConv,
    ToRGB,
    activation,
    fir_taps,
    minibatch_deviation,
    unit_length,
    upsample,
)
from transgan.models.blocks import split_noise
from transgan.schema import stylegan2

MEAN_STYLE_LATENTS = 10_000


class StyleGAN2Generator(StyledGenerator):
    """The generator. There is no output non-linearity: pixel values are around [-1, 1] but unbounded.

    A block takes the styles of its convolutions, then that of its RGB layer. The RGB layer shares its style with the
    first convolution of the next block, so that n blocks have 2 n styles.
    """

    def __init__(self, config: stylegan2.StyleGAN2Generator) -> None:
        super().__init__()
        self.config = config
        self.latent, self.resolution = config.latent, config.resolution
        self.styles = 2 * len(config.sides)
        widths = [config.latent, *[config.style_width] * config.mapping_depth]
        self.mapping = nn.ModuleList(EqualizedLinear(*shape, lr=config.mapping_lr) for shape in pairwise(widths))
        self.constant = nn.Parameter(torch.randn(1, config.widths[0], config.bottom_width, config.bottom_width))
        inputs = [None, *config.widths[:-1]]
        self.blocks = nn.ModuleList(
            SynthesisBlock(before, width, config.style_width)
            for before, width in zip(inputs, config.widths, strict=True)
        )
        self._noise_pixels = [side**2 for i, side in enumerate(config.sides) for _ in range(min(i, 1) + 1)]
        self.noise_width = sum(self._noise_pixels)
        self.register_buffer("taps", fir_taps())

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """z (B, latent) -> styles (B, styles, style_width). `truncation` below 1 moves them towards the mean style."""
        style = self._style(z)
        if truncation != 1:
            style = torch.lerp(self.mean_style(), style, truncation)
        return style.unsqueeze(1).expand(-1, self.styles, -1)

    @torch.no_grad()
    def mean_style(self) -> Tensor:
        """The mean style (1, style_width) over a fixed sample of latents."""
        z = torch.randn(MEAN_STYLE_LATENTS, self.latent, generator=torch.Generator().manual_seed(0))
        return self._style(z.to(self.constant.device)).mean(0, keepdim=True)

    def synthesize(self, styles: Tensor, noise: Tensor | None = None) -> Tensor:
        """Styles (B, styles, style_width) -> images (B, 3, H, W).

        `noise` (B, noise_width) is standard normal; the generator samples it if it is not given.
        """
        pixels = split_noise(styles, noise, self._noise_pixels)
        x, rgb = self.constant.expand(len(styles), -1, -1, -1), None
        for i, (side, block) in enumerate(zip(self.config.sides, self.blocks, strict=True)):
            first, last = max(2 * i - 1, 0), 2 * i + 1
            planes = [next(pixels).view(len(styles), 1, side, side) for _ in range(first, last)]  # type: ignore[union-attr]
            x, rgb = apply_block(
                block, x, rgb, styles[:, first : last + 1], planes, self.taps, recompute=self.checkpoint_activations
            )
        assert rgb is not None
        return rgb  # type: ignore[no-any-return]

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """z (B, latent) -> images (B, 3, H, W). `noise` is as for `synthesize`."""
        return self.synthesize(self.map(z), noise)

    def _style(self, z: Tensor) -> Tensor:
        x = unit_length(z)
        for layer in self.mapping:
            x = activation(layer(x))
        return x


class SynthesisBlock(nn.Module):
    """One resolution of the generator: a convolution that doubles the side, another one, and a layer to RGB.

    The first block has no `inputs` and no doubling convolution.
    """

    def __init__(self, inputs: int | None, width: int, style_width: int) -> None:
        super().__init__()
        self.up = None if inputs is None else StyledConv(inputs, width, style_width, up=True)
        self.conv = StyledConv(width, width, style_width)
        self.to_rgb = ToRGB(width, style_width)

    def forward(
        self, x: Tensor, rgb: Tensor | None, styles: Tensor, noise: list[Tensor], taps: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The map and the image so far (None in the first block) -> both after this block.

        `styles` has one style per convolution, and one for the layer to RGB.
        """
        *conv_styles, rgb_style = styles.unbind(1)
        convolutions = [self.conv] if self.up is None else [self.up, self.conv]
        for convolution, style, plane in zip(convolutions, conv_styles, noise, strict=True):
            x = convolution(x, style, plane, taps)
        update = self.to_rgb(x, rgb_style, taps)
        return x, update if rgb is None else upsample(rgb, taps) + update


class StyleGAN2Discriminator(DiscriminatorNetwork):
    """The residual discriminator."""

    def __init__(self, config: stylegan2.StyleGAN2Discriminator, resolution: int) -> None:
        super().__init__()
        config.check_resolution(resolution)
        self.group = config.deviation_group
        widths = config.widths(resolution)
        self.from_rgb = EqualizedConv(3, widths[0], 1)
        self.blocks = nn.ModuleList(ResidualBlock(*shape) for shape in pairwise(widths))
        self.conv = EqualizedConv(widths[-1] + (self.group > 1), widths[-1], 3)
        self.dense = EqualizedLinear(widths[-1] * config.bottom_width**2, widths[-1])
        self.head = EqualizedLinear(widths[-1], 1)
        self.register_buffer("taps", fir_taps())

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> scores (B,), unbounded. `noise` is ignored.

        B is a multiple of `group`, or smaller.
        """
        x = activation(self.from_rgb(images, self.taps))
        for block in self.blocks:
            x = apply_block(block, x, self.taps, recompute=self.checkpoint_activations)
        if self.group > 1:
            x = minibatch_deviation(x, self.group)
        x = activation(self.conv(x, self.taps))
        return self.head(activation(self.dense(x.flatten(1)))).squeeze(1)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, the second of stride 2, beside a 1 x 1 convolution of stride 2.

    The sum is scaled to keep the variance.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = EqualizedConv(inputs, inputs, 3)
        self.down = EqualizedConv(inputs, outputs, 3, down=True)
        self.skip = EqualizedConv(inputs, outputs, 1, bias=False, down=True)

    def forward(self, x: Tensor, taps: Tensor) -> Tensor:
        """(B, inputs, S, S) -> (B, outputs, S / 2, S / 2)."""
        update = activation(self.down(activation(self.conv(x, taps)), taps))
        return (update + self.skip(x, taps)) * ROOT_HALF  # type: ignore[no-any-return]
