"""Generated images for a step's inputs; with style mixing, each from two latents (Karras et al. 2019, section 3.1)."""

import torch
from torch import Tensor

from transgan.models.base import GeneratorNetwork, StyledGenerator
from transgan.training.random_inputs import DiscriminatorInputs, GeneratorInputs

Inputs = DiscriminatorInputs | GeneratorInputs


def styles_of(generator: StyledGenerator, inputs: Inputs) -> Tensor:
    """The style of every layer, (B, styles, style width): from z before an image's crossing, else from `mixing.z`."""
    styles = generator.map(inputs.z)
    if inputs.mixing is None:
        return styles
    layer = torch.arange(styles.shape[1], device=styles.device)
    return torch.where(
        (layer < inputs.mixing.crossing.unsqueeze(1)).unsqueeze(2), styles, generator.map(inputs.mixing.z)
    )


def generate(generator: GeneratorNetwork, inputs: Inputs) -> Tensor:
    """The images (B, 3, H, W) of a step's latents."""
    if inputs.mixing is None:
        images: Tensor = generator(inputs.z, inputs.generator_noise)
        return images
    assert isinstance(generator, StyledGenerator)
    return generator.synthesize(styles_of(generator, inputs), inputs.generator_noise)
