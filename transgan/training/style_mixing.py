"""Pictures of a generator for a step's draws: with the styles of two latents where the recipe mixes them (Karras et al. 2019, section 3.1)."""

import torch
from torch import Tensor

from transgan.models.base import GeneratorNetwork, StyledGenerator
from transgan.training.random_inputs import DiscriminatorDraws, GeneratorDraws

Draws = DiscriminatorDraws | GeneratorDraws


def styles_of(generator: StyledGenerator, draws: Draws) -> Tensor:
    """Styles of every layer (B, styles, style width): those before a picture's crossing from its z, the others from its second latent."""
    styles = generator.map(draws.z)
    if draws.mixing is None:
        return styles
    layer = torch.arange(styles.shape[1], device=styles.device)
    return torch.where((layer < draws.mixing.crossing.unsqueeze(1)).unsqueeze(2), styles, generator.map(draws.mixing.z))


def generate(generator: GeneratorNetwork, draws: Draws) -> Tensor:
    """The pictures (B, 3, H, W) of a step's latents."""
    if draws.mixing is None:
        images: Tensor = generator(draws.z, draws.generator_noise)
        return images
    assert isinstance(generator, StyledGenerator)
    return generator.synthesize(styles_of(generator, draws), draws.generator_noise)
