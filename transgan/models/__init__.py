"""Networks: TransGAN, the convolutional baselines, and the authors' checkpoints.

`build_generator` and `build_discriminator` choose the class by the configuration's `family`.
"""

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
    """A freshly initialized generator: z (B, latent) -> images (B, 3, H, W). See `GeneratorNetwork`."""
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
    """A freshly initialized discriminator of square images: (B, 3, H, W) -> scores (B,). See `DiscriminatorNetwork`.

    Raises ValueError if `resolution` (pixels) does not divide into the network's patches, tiles or halvings.
    """
    match config:
        case TransformerDiscriminator():
            return Discriminator(config, resolution)
        case baselines.ResNetDiscriminator():
            return ResNetDiscriminator(config, resolution)
        case stylegan2.StyleGAN2Discriminator():
            return StyleGAN2Discriminator(config, resolution)
