"""Trained generators as files: safetensors with the metadata key `transgan`, and in a file to share, more keys.

Its value is sorted JSON that describes how to build the network.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from transgan.errors import UserError
from transgan.models import build_generator
from transgan.models.base import GeneratorNetwork
from transgan.schema.model import GeneratorConfig, generator_config
from transgan.utils import files

METADATA_KEY = "transgan"
DEPTHS = ("depth", "mapping_depth")  # keys of a configuration: how often something with weights is repeated


@dataclass(frozen=True)
class Saved:
    """A generator read from a file, in evaluation mode on the CPU, with its configuration and the file's metadata."""

    module: GeneratorNetwork
    config: GeneratorConfig
    metadata: dict[str, Any]


def save_generator(path: Path, module: nn.Module, config: GeneratorConfig, extra: dict[str, Any]) -> None:
    """Write a generator atomically. The same weights and `extra` (JSON-compatible) always give the same bytes.

    `extra["images"]`, if given, is the number of real images that the generator was trained with. Loading sets a
    schedule that depends on it. `extra["normalize_latent"]` (false by default) is the recipe's setting.
    """
    _save(path, module, {**extra, "generator": config.plain()}, {})


def save_shared(path: Path, saved: "Saved", keys: Mapping[str, str]) -> None:
    """Write a generator that was read from a file again, with further metadata `keys` for readers of safetensors.

    Transformers and other readers look for `format`, which is always `pt`. The weights stay as they are.
    """
    _save(path, saved.module, saved.metadata, {"format": "pt", **keys})


def _save(path: Path, module: nn.Module, metadata: Mapping[str, Any], keys: Mapping[str, str]) -> None:
    state = {key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()}
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    files.write_bytes(path, safetensors.torch.save(state, {**keys, METADATA_KEY: text}))


def load_generator(path: Path) -> Saved:
    """Read a generator. Raises UserError in one line if the file is missing, damaged, or not saved by this project."""
    state, text = _read(path)
    try:
        metadata = json.loads(text)
        config = generator_config.validate_python(metadata["generator"])
        _check_depth(metadata["generator"], len(state))
        with torch.device("meta"):
            module = build_generator(config)
        module.load_state_dict(state, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: the weights do not match the metadata ({reason}); save it again") from error
    images = metadata.get("images", 2**63)
    if not isinstance(images, int):
        raise UserError(f"{path}: its metadata give {images!r} as the number of images; save it again")
    module.set_progress(images)
    module.normalize_latent = bool(metadata.get("normalize_latent", False))
    module.caution = str(metadata.get("caution", ""))
    return Saved(module.eval(), config, metadata)


def _check_depth(config: Any, tensors: int) -> None:
    """Raise ValueError for a configuration of more blocks or layers than the file has tensors."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key in DEPTHS and value > tensors:
                raise ValueError(f"{key} is {value:,}, but there are {tensors:,} tensors")
            _check_depth(value, tensors)
    elif isinstance(config, list):
        for value in config:
            _check_depth(value, tensors)


def _read(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get(METADATA_KEY)
            state = {key: file.get_tensor(key) for key in list(file.keys())}
    except FileNotFoundError:
        raise UserError(f"{path}: not there; name another file, or train the run that writes it") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error}); delete it and write it again") from error
    if metadata is None:
        raise UserError(
            f"{path}: not a generator saved by this project (no metadata key {METADATA_KEY!r}); "
            "convert a checkpoint of the authors with import-official"
        )
    return state, metadata
