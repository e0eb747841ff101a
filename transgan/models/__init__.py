"""Networks: attention, blocks, generator, discriminator, and the authors' checkpoints. Built from a configuration by its `family`."""

from transgan.models.attention import double_backward
from transgan.models.base import DiscriminatorNetwork, GeneratorNetwork
from transgan.models.discriminator import Discriminator
from transgan.models.generator import Generator
from transgan.schema.model import TransformerDiscriminator, TransformerGenerator

__all__ = ["DiscriminatorNetwork", "GeneratorNetwork", "build_discriminator", "build_generator", "double_backward"]


def build_generator(config: TransformerGenerator) -> GeneratorNetwork:
    """A freshly initialised generator: forward(z (B, latent), noise=None) -> (B, 3, H, W); attributes latent, resolution, noise_width."""
    return Generator(config)


def build_discriminator(config: TransformerDiscriminator, resolution: int) -> DiscriminatorNetwork:
    """A freshly initialised discriminator for square pictures: forward(images (B, 3, H, W), noise=None) -> (B,); attribute noise_width.

    Raises ValueError unless the resolution divides into its patches and tiles.
    """
    return Discriminator(config, resolution)
