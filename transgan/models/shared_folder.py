"""A generator as a folder, with the file names of Hugging Face's models: model.safetensors and config.json."""

from collections.abc import Mapping
from pathlib import Path

from transgan.models.serialization import Saved, save_shared
from transgan.utils import files

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write(folder: Path, saved: Saved, keys: Mapping[str, str]) -> None:
    """Write the weights, with `keys` in their metadata, and the configuration, which the weights' metadata repeat.

    Raises UserError when the folder cannot be written.
    """
    about = {"latent_size": saved.module.latent, "resolution": saved.module.resolution}
    save_shared(folder / WEIGHTS, saved, {**{key: str(value) for key, value in about.items()}, **keys})
    config = {"library_name": "transgan", **about, "generator": saved.config.plain()}
    files.write_json(folder / CONFIG, config)
