"""Networks: TransGAN's, the convolutional baselines, and the authors' checkpoints. Built from a configuration by its `family`."""

from transgan.models.base import DiscriminatorNetwork, GeneratorNetwork
from transgan.models.baselines.autogan import AutoGANGenerator
from transgan.models.baselines.resnet import ResNetDiscriminator, ResNetGenerator
from transgan.models.baselines.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from transgan.models.discriminator import Discriminator
from transgan.models.generator import Generator
from transgan.models.kernels.double_backward import double_backward
from transgan.schema import baselines, stylegan2
from transgan.schema.model import DiscriminatorConfig, GeneratorConfig, TransformerDiscriminator, TransformerGenerator

__all__ = ["DiscriminatorNetwork", "GeneratorNetwork", "build_discriminator", "build_generator", "double_backward"]


def build_generator(config: GeneratorConfig) -> GeneratorNetwork:
    """A freshly initialised generator: forward(z (B, latent), noise=None) -> (B, 3, H, W); attributes latent, resolution, noise_width."""
    match config:
        case TransformerGenerator():
            return Generator(config)
        case baselines.ResNetGenerator():
            return ResNetGenerator(config)
        case baselines.AutoGANGenerator():
            return AutoGANGenerator(config)
        case stylegan2.StyleGAN2Generator():
            return StyleGAN2Generator(config)


def build_discriminator(config: DiscriminatorConfig, resolution: int) -> DiscriminatorNetwork:
    """A freshly initialised discriminator for square pictures: forward(images (B, 3, H, W), noise=None) -> (B,); attribute noise_width.

    Raises ValueError unless the resolution suits its patches, tiles and halvings.
    """
    match config:
        case TransformerDiscriminator():
            return Discriminator(config, resolution)
        case baselines.ResNetDiscriminator():
            return ResNetDiscriminator(config, resolution)
        case stylegan2.StyleGAN2Discriminator():
            return StyleGAN2Discriminator(config, resolution)
