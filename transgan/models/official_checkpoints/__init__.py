"""The authors' checkpoints (VITA-Group/TransGAN) as networks of this project.

`reading` opens the file, `names` translates the names of the tensors, `architecture` infers the configuration from
names and shapes, and this module builds the network.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from transgan.errors import UserError
from transgan.models.base import DiscriminatorNetwork, GeneratorNetwork
from transgan.models.discriminator import Discriminator
from transgan.models.generator import Generator
from transgan.models.official_checkpoints.architecture import (
    ReleasedNetwork,
    discriminator_config,
    generator_config,
)
from transgan.models.official_checkpoints.names import released_name
from transgan.models.official_checkpoints.reading import (
    GENERATOR_ENTRIES,
    generator_state,
    missing_average,
    read_checkpoint,
)
from transgan.models.serialization import save_generator
from transgan.utils import files

logger = logging.getLogger(__name__)

__all__ = ["from_state_dict", "import_official"]


class OfficialDiscriminator(Discriminator):
    """A discriminator whose output has the shape of the authors' modules."""

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Images (B, 3, H, W) -> scores (B, 1)."""
        return super().forward(images, noise)[:, None]


def from_state_dict(state: Mapping[str, Any], **known: Any) -> GeneratorNetwork | DiscriminatorNetwork:
    """A released generator or discriminator in evaluation mode, from its state dict.

    The keys of `state` are the released names, with or without the prefix `module.`. The family, widths, depths and
    windows are inferred from names and shapes. What they do not determine takes the released value, or that in `known`:
    norm (layer, pixel, none), heads, window, patch, resolution, latent, width, bottom_width. The names of the authors'
    command-line arguments work too. Without norm weights the norm is pixel; heads are 4; the window is 16, or 4 in the
    CelebA-HQ discriminator.

    Raises UserError if a known value contradicts the state, or, with the first keys that differ, if the state fits no
    released family.
    """
    return _build(ReleasedNetwork(state, known))


def import_official(file: Path, out: Path, **known: Any) -> Path:
    """Save the generator of a checkpoint published by the authors in this project's format at `out`, and return `out`.

    Takes the moving average if the file has one; otherwise a warning and the metadata say what was taken. `known` is as
    for `from_state_dict`. Raises UserError in one line if the file is missing or damaged, contains code, or contains no
    released generator.
    """
    content = read_checkpoint(file)
    entry, state = generator_state(content, file)
    try:
        module = from_state_dict(state, **known)
    except UserError as error:
        raise UserError(f"{file}: {entry}: {error}") from None
    if not isinstance(module, Generator):
        raise UserError(f"{file}: {entry} is a discriminator; give a checkpoint with {' or '.join(GENERATOR_ENTRIES)}")
    metadata: dict[str, Any] = {"imported": {"entry": entry, "file": file.name, "sha256": files.sha256(file)}}
    if caution := missing_average(content, entry):
        metadata["caution"] = caution
        logger.warning(f"{file}: {caution}")
    save_generator(out, module, module.config, metadata)
    return out


def _build(released: ReleasedNetwork) -> GeneratorNetwork | DiscriminatorNetwork:
    module: Generator | Discriminator
    try:
        with torch.device("meta"):
            if released.is_discriminator:
                config, resolution = discriminator_config(released)
                module = OfficialDiscriminator(config, resolution)
                settings = {**config.plain(), "resolution": resolution}
            else:
                module = Generator(generator_config(released))
                settings = {**module.config.plain(), "resolution": module.resolution}
        if not released.is_discriminator:
            # The released layer is a 1 x 1 convolution: (3, C, 1, 1) -> (3, C).
            released.tensors["to_rgb.weight"] = released.tensors["to_rgb.weight"].flatten(1)
    except (ValidationError, ValueError, IndexError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise UserError(f"not a released network: {reason.removeprefix('Value error, ')}") from None
    for name, value in released.known.items():
        if name in settings and settings[name] != value:
            raise UserError(f"{name} is {settings[name]} in the checkpoint, but {value} was given")
    _check_keys(released, module)
    module.load_state_dict(released.tensors, assign=True)
    return module.eval()


def _check_keys(released: ReleasedNetwork, module: torch.nn.Module) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    actual = {name: tuple(tensor.shape) for name, tensor in released.tensors.items()}
    unexpected = [f"unexpected {released.original[name]}" for name in actual if name not in expected]
    missing = [f"missing {released_name(name)}" for name in expected if name not in actual]
    shapes = [
        f"{released.original[name]} is {actual[name]}, expected {expected[name]}"
        for name in actual
        if name in expected and actual[name] != expected[name]
    ]
    if differences := unexpected + missing + shapes:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise UserError(f"not a released network: {'; '.join(differences[:3])}{more}")
