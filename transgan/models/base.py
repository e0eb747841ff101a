"""What every generator and every discriminator offers, whatever its family: training, sampling and scoring rely on nothing else."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class GeneratorNetwork(nn.Module):
    """forward(z (B, latent), noise (B, noise_width) | None = None) -> images (B, 3, resolution, resolution), about [-1, 1] but unbounded.

    `noise_width`: standard normal numbers that one image uses in a forward pass (0: none); drawn by the network where not given.
    """

    latent: int
    resolution: int
    noise_width: int = 0
    checkpoint_activations: bool = False

    def set_progress(self, images: int) -> None:
        """Tell the network how many real images the discriminator has been shown; most networks do not change along training."""


class StyledGenerator(GeneratorNetwork, ABC):
    """A generator in two halves, whose forward is synthesize(map(z), noise): style mixing and path lengths need them apart."""

    styles: int  # how many layers take a style

    @abstractmethod
    def map(self, z: Tensor) -> Tensor:
        """(B, latent) -> (B, styles, style width)."""

    @abstractmethod
    def synthesize(self, styles: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, styles, style width) and noise as for forward -> (B, 3, resolution, resolution)."""


class DiscriminatorNetwork(nn.Module):
    """forward(images (B, 3, H, W), noise (B, noise_width) | None = None) -> (B,), unbounded. `noise_width` as for generators.

    `group`: so many consecutive pictures are judged together (1: each alone); a forward pass takes whole groups.
    """

    noise_width: int = 0
    group: int = 1
    checkpoint_activations: bool = False

    def begin_step(self) -> None:
        """Do what belongs to an update and not to a forward pass: called once before each of its steps; most networks have nothing to do."""
