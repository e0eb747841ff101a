"""Reading a pack: a dataset as training, scoring and the figures see it.

A pack is a folder with images.npy (uint8, NHWC, opened as a memory map), labels.npy (int64) and manifest.json. Each
split is a contiguous range of rows. `transgan prepare` builds packs.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transgan.config.paths import IMAGES, LABELS, MANIFEST
from transgan.errors import UserError
from transgan.utils import files


@dataclass(frozen=True)
class Pack:
    """A packed dataset, opened without reading its images."""

    images: np.ndarray  # memory map, uint8 (N, H, W, 3)
    labels: np.ndarray  # int64 (N,); -1: no label
    manifest: dict[str, Any]

    @staticmethod
    def open(folder: Path) -> "Pack":
        """Open the pack in `folder`. Raises UserError when a file is missing, damaged or does not fit the manifest."""
        manifest = files.read_json(folder / MANIFEST)
        images, labels = _load(folder / IMAGES, mapped=True), _load(folder / LABELS, mapped=False)
        side, count = manifest["resolution"], manifest["count"]
        images_fit = images.dtype == np.uint8 and images.shape == (count, side, side, 3)
        labels_fit = labels.dtype == np.int64 and labels.shape == (count,)
        if not (images_fit and labels_fit):
            raise UserError(
                f"{folder}: {IMAGES} and {LABELS} do not fit {MANIFEST};"
                f" delete that folder and run {_prepare_command(folder)}"
            )
        return Pack(images, labels, manifest)

    @property
    def sha256(self) -> str:
        """The digest of images and labels."""
        return str(self.manifest["sha256"])

    def rows(self, splits: Sequence[str]) -> np.ndarray:
        """Return the row indices (int64) of the named splits, one split after another.

        Raises UserError for a split that the pack does not have.
        """
        ranges: dict[str, list[int]] = self.manifest["splits"]
        for name in splits:
            if name not in ranges:
                raise UserError(f"the pack has no split {name!r}, it has: {', '.join(ranges)}")
        return np.concatenate([np.arange(*ranges[name], dtype=np.int64) for name in splits])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of the images in `rows`, in that order: uint8 (len(rows), H, W, 3)."""
        return np.asarray(self.images[rows])


def _prepare_command(folder: Path) -> str:
    """Return the command that builds data/<scale>/<dataset>."""
    return f"`{shlex.join(('transgan', 'prepare', folder.name, '--scale', folder.parent.name))}`"


def _load(path: Path, mapped: bool) -> np.ndarray:
    try:
        return np.asarray(np.load(path)) if not mapped else np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run {_prepare_command(path.parent)}") from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it and run {_prepare_command(path.parent)}") from error
