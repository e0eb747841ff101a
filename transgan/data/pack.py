"""Reading a pack: a dataset as training, scoring and the figures see it.

A pack is a folder with images.npy (uint8, NHWC, opened as a memory map), labels.npy (int64) and manifest.json. Each
split is a contiguous range of rows. `transgan prepare` builds packs.
"""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transgan.config.paths import IMAGES, LABELS, MANIFEST
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.utils import files


@dataclass(frozen=True)
class Pack:
    """A packed dataset, opened without reading its images."""

    images: np.ndarray  # memory map, uint8 (N, H, W, 3)
    labels: np.ndarray  # int64 (N,); -1: no label
    manifest: dict[str, Any]

    @staticmethod
    def open(folder: Path, verify: bool = False, command: str | None = None) -> "Pack":
        """Open the pack in `folder`. Raises UserError when a file is missing, damaged or does not fit the manifest.

        With `verify`, all of it is read and compared with the digest in the manifest. `command` builds the pack, for
        messages; by default it is that of a dataset of params.yaml.
        """
        command = command or _prepare_command(folder)
        manifest = files.read_object(folder / MANIFEST, command, resolution=int, count=int, splits=dict, sha256=str)
        images, labels = _load(folder / IMAGES, command), np.array(_load(folder / LABELS, command))
        side, count = manifest["resolution"], manifest["count"]
        images_fit = images.dtype == np.uint8 and images.shape == (count, side, side, 3)
        labels_fit = labels.dtype == np.int64 and labels.shape == (count,)
        splits_fit = all(_is_range(rows, count) for rows in manifest["splits"].values())
        if not (images_fit and labels_fit and splits_fit):
            raise UserError(
                f"{folder}: {IMAGES} and {LABELS} do not fit {MANIFEST}; delete that folder and run `{command}`"
            )
        if (
            verify
            and content_digest({name: files.sha256(folder / name) for name in (IMAGES, LABELS)}) != manifest["sha256"]
        ):
            raise UserError(
                f"{folder}: {IMAGES} or {LABELS} was changed or damaged after it was packed (its SHA-256 is not the one"
                f" in {MANIFEST}); run `{command}` to restore it"
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
    return shlex.join(("transgan", "prepare", folder.name, "--scale", folder.parent.name))


def open_pack(plan: Plan, dataset: str, verify: bool = False) -> Pack:
    """Open the pack of a dataset of the plan, as `Pack.open` does."""
    return Pack.open(plan.paths.data(dataset), verify, plan.command("prepare", dataset))


def content_digest(digests: Mapping[str, str]) -> str:
    """Return what `sha256sum images.npy labels.npy | sha256sum` prints, from the SHA-256 of both files."""
    return hashlib.sha256("".join(f"{digests[name]}  {name}\n" for name in (IMAGES, LABELS)).encode()).hexdigest()


def _is_range(rows: object, count: int) -> bool:
    return (
        isinstance(rows, list)
        and len(rows) == 2
        and all(isinstance(row, int) for row in rows)
        and 0 <= rows[0] <= rows[1] <= count
    )


def _load(path: Path, command: str) -> np.ndarray:
    """Open an array as a memory map, which NumPy refuses when the file is shorter than its header says."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run `{command}`") from None
    except (ValueError, OSError, EOFError, OverflowError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it and run `{command}`") from error
