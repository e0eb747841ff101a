"""Layers of StyleGAN2 (Karras et al. 2018 to 2020).

Equalized learning rates, modulated convolutions, FIR resampling, minibatch standard deviation. Maps are (batch,
channels, side, side). The low-pass filter is [1, 3, 3, 1] in both directions. It is an ordinary depthwise convolution,
so that everything compiles and has second derivatives. In eager mode torch's double backward computes a gradient of its
taps as well, channel by channel; compiled code leaves that out.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transgan.utils.square_root import sqrt

FIR = (1.0, 3.0, 3.0, 1.0)
EPSILON = 1e-8
ROOT_HALF = math.sqrt(0.5)


def fir_taps() -> Tensor:
    """The low-pass filter (4, 4), with sum 1."""
    taps = torch.tensor(FIR)
    return torch.outer(taps, taps) / taps.sum() ** 2


def low_pass(x: Tensor, taps: Tensor, padding: int, down: int = 1) -> Tensor:
    """(B, C, S, S) padded with zeros, filtered, and reduced to every `down`-th pixel."""
    channels = x.shape[1]
    return F.conv2d(x, taps.expand(channels, 1, -1, -1), stride=down, padding=padding, groups=channels)


def upsample(x: Tensor, taps: Tensor) -> Tensor:
    """(B, C, S, S) -> (B, C, 2 S, 2 S): zeros between the pixels, then the filter, which keeps the brightness."""
    channels = x.shape[1]
    return F.conv_transpose2d(x, 4 * taps.expand(channels, 1, -1, -1), stride=2, padding=1, groups=channels)


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, times sqrt 2, which roughly keeps the second moment of a standard normal input."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def unit_length(x: Tensor) -> Tensor:
    """(B, C) divided by the root mean square over C."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """(B, C, S, S) -> (B, C + 1, S, S).

    The new channel is the standard deviation over `group` consecutive images, averaged over all features. A batch
    smaller than a group is one group. Raises ValueError if the batch does not divide into groups.
    """
    batch, channels, height, width = x.shape
    group = min(group, batch)
    if batch % group:
        raise ValueError(f"{batch} images do not divide into groups of {group}")
    groups = x.to(torch.promote_types(x.dtype, torch.float32)).view(batch // group, group, channels, height, width)
    deviation = sqrt((groups - groups.mean(1, keepdim=True)).square().mean(1).add(EPSILON)).mean((1, 2, 3))
    plane = deviation.repeat_interleave(group).view(batch, 1, 1, 1).expand(-1, -1, height, width)
    return torch.cat([x, plane.to(x.dtype)], 1)


class EqualizedLinear(nn.Module):
    """A linear layer whose weights are initialized standard normal and scaled by `lr` / sqrt(inputs) in every pass.

    Adam's steps do not depend on the size of a gradient. With the scale in the forward pass instead of in the initial
    weights, they suit the weights of every layer. `lr` multiplies the learning rate of weight and bias without changing
    the initial function.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, lr: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr))
        self.scale = lr / math.sqrt(inputs)
        self.lr = lr

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.lr)


class EqualizedConv(nn.Module):
    """A convolution with an equalized learning rate. With `down`, stride 2 after the low-pass filter."""

    def __init__(self, inputs: int, outputs: int, kernel: Literal[1, 3], bias: bool = True, down: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.down = down

    def forward(self, x: Tensor, taps: Tensor) -> Tensor:
        """(B, inputs, S, S) -> (B, outputs, S, S), or S / 2 with `down`."""
        weight, kernel = self.weight * self.scale, self.weight.shape[2]
        if not self.down:
            return F.conv2d(x, weight, self.bias, padding=kernel // 2)
        if kernel == 1:  # filter with stride: only the pixels that are used
            return F.conv2d(low_pass(x, taps, 1, down=2), weight, self.bias)
        return F.conv2d(low_pass(x, taps, 2), weight, self.bias, stride=2)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style per image (modulation).

    Demodulation scales the output to unit variance. Scaling the weights per image is the same as scaling the input and
    the output of one shared convolution (Karras et al. 2020, section 2.2 and appendix B), which needs no grouped
    convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Literal[1, 3],
        style_width: int,
        up: bool = False,
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        self.affine = EqualizedLinear(style_width, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.up = up
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Tensor, taps: Tensor) -> Tensor:
        """(B, inputs, S, S) and style (B, style_width) -> (B, outputs, S, S), or 2 S with `up`."""
        modulation, weight = self.affine(style), self.weight * self.scale
        x = x * modulation[:, :, None, None]
        if self.up:
            x = low_pass(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 4 * taps, 1)
        else:
            x = F.conv2d(x, weight, padding=weight.shape[2] // 2)
        if self.demodulate:
            x = x * demodulation(modulation, weight)[:, :, None, None]
        return x


def demodulation(modulation: Tensor, weight: Tensor) -> Tensor:
    """1 / norm of the modulated weights of every output channel, in the precision of the weights.

    (B, inputs) and (outputs, inputs, k, k) -> (B, outputs).
    """
    with torch.autocast(modulation.device.type, enabled=False):
        return torch.rsqrt(modulation.to(weight.dtype).square() @ weight.square().sum((2, 3)).t() + EPSILON)


class StyledConv(nn.Module):
    """A modulated 3 x 3 convolution, noise with a learnt strength, bias, activation."""

    def __init__(self, inputs: int, outputs: int, style_width: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style_width, up)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor, taps: Tensor) -> Tensor:
        """(B, inputs, S, S), style (B, style_width), noise (B, 1, S', S') -> (B, outputs, S', S').

        S' is 2 S with `up`, else S.
        """
        x = self.conv(x, style, taps) + self.noise_strength * noise
        return activation(x + self.bias[:, None, None])


class ToRGB(nn.Module):
    """From a map to RGB: a modulated 1 x 1 convolution without demodulation, and a bias."""

    def __init__(self, inputs: int, style_width: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, 3, 1, style_width, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, style: Tensor, taps: Tensor) -> Tensor:
        """(B, inputs, S, S) and style (B, style_width) -> (B, 3, S, S)."""
        return self.conv(x, style, taps) + self.bias[:, None, None]  # type: ignore[no-any-return]
