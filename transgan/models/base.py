"""What every generator and every discriminator offers, whatever its family.

Training, sampling and scoring rely on nothing else.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class GeneratorNetwork(nn.Module):
    """A generator: forward(z (B, latent), noise (B, noise_width) or None) -> images (B, 3, resolution, resolution).

    Pixel values are around [-1, 1] but may be unbounded. `noise_width` is the number of standard normal numbers that an
    image uses in a forward pass (0: none). The network samples them if they are not given. With
    `checkpoint_activations`, blocks recompute their activations in the backward pass. `has_band` is whether a locality
    band limits attention now. `image_side` is the side in pixels of the images that `super_resolve` takes (0: it takes
    none).
    """

    latent: int
    resolution: int
    noise_width: int = 0
    has_band: bool = False
    image_side: int = 0
    checkpoint_activations: bool = False
    normalize_latent: bool = False  # the forward pass first divides z by its root mean square
    caution: str = ""  # what a reader of this generator's scores should know of its weights

    def latents(self, z: Tensor) -> Tensor:
        """z (B, latent) as the first layer takes it: normalized if `normalize_latent` is set."""
        return normalized(z) if self.normalize_latent else z

    def set_progress(self, images: int) -> None:
        """Set the number of real images that the discriminator has been shown. Most networks ignore it."""

    def super_resolve(self, images: Tensor) -> Tensor:
        """Small images (B, 3, image_side, image_side) -> (B, 3, resolution, resolution), if `image_side` is not 0."""
        raise TypeError("this generator takes no images")


class StyledGenerator(GeneratorNetwork, ABC):
    """A generator whose forward is synthesize(map(z), noise), for style mixing and path length regularization."""

    styles: int  # number of layers that take a style

    @abstractmethod
    def map(self, z: Tensor) -> Tensor:
        """(B, latent) -> (B, styles, style width)."""

    @abstractmethod
    def synthesize(self, styles: Tensor, noise: Tensor | None = None) -> Tensor:
        """Styles (B, styles, style width), and noise as for forward -> (B, 3, resolution, resolution)."""


class DiscriminatorNetwork(nn.Module):
    """A discriminator: forward(images (B, 3, H, W), noise (B, noise_width) or None) -> scores (B,).

    Images are in [-1, 1], scores are unbounded. `noise_width` and `checkpoint_activations` are as for generators. The
    network scores `group` consecutive images together (1: each alone), and a forward pass takes whole groups.
    """

    noise_width: int = 0
    group: int = 1
    checkpoint_activations: bool = False

    def begin_step(self) -> None:
        """Do what belongs to an update and not to a forward pass, once before each update. Most networks do nothing."""


def normalized(z: Tensor) -> Tensor:
    """Latents (B, latent), each divided by its root mean square (docs/paper.md 3.2)."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
