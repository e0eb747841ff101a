"""Checkpoints of a run in its state folder: checksummed, the newest good ones kept, a damaged one passed over aloud.

`checkpoint-<images>.pt` is a tree of tensors, numbers and strings, read back without unpickling anything else; the `.json` beside it, written
last, says its digest and which fingerprint it belongs to. A file without its `.json` was being written when the process died.
"""

import logging
import re
from pathlib import Path
from typing import Any

import torch

from transgan.errors import UserError
from transgan.utils import files

logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints in one folder, which belongs to one fingerprint."""

    def __init__(self, folder: Path, fingerprint: str, keep: int) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.keep = keep

    def save(self, images: int, state: dict[str, Any]) -> None:
        """Write a checkpoint after `images` real images, then delete the oldest beyond those to keep.

        Raises UserError when it cannot be written; the checkpoints before it are untouched.
        """
        path = self._path(images)
        with files.atomic(path) as temporary:
            try:
                torch.save({"fingerprint": self.fingerprint, "state": state}, temporary)
            except RuntimeError as error:  # torch's writer turns a full disk into its own error
                raise OSError(str(error).splitlines()[0]) from error
        files.write_json(
            path.with_suffix(".json"), {"fingerprint": self.fingerprint, "images": images, "sha256": files.sha256(path)}
        )
        older = [other for other in self._newest_first() if other.name <= path.name]
        for other in older[self.keep :]:
            other.with_suffix(".json").unlink(missing_ok=True)
            other.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The state of the newest good checkpoint; None where none was ever finished.

        Raises UserError when one belongs to another configuration, or when there are some and all are damaged.
        """
        for unfinished in self.folder.glob(".checkpoint-*.tmp"):  # left by a process that was killed while writing
            unfinished.unlink(missing_ok=True)  # each process of a run looks
        paths = self._newest_first()
        for path in paths:
            try:
                return self._read(path)
            except (ValueError, KeyError, RuntimeError, OSError, EOFError) as error:
                logger.warning(
                    f"{path}: damaged ({' '.join(str(error).split())[:120]}); the checkpoint before it is used"
                )
        if paths:
            raise UserError(
                f"{self.folder}: all {len(paths)} checkpoints are damaged; restore one, or move the folder away to start anew"
            )
        return None

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            recorded = files.read_json(path.with_suffix(".json"))
        except UserError as error:
            raise ValueError(str(error)) from error
        if files.sha256(path) != recorded["sha256"]:
            raise ValueError("its checksum is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["fingerprint"] != self.fingerprint:
            raise UserError(
                f"{path}: belongs to fingerprint {content['fingerprint']}, this run's is {self.fingerprint}; move it back to where it came from"
            )
        state: dict[str, Any] = content["state"]
        return state

    def _newest_first(self) -> list[Path]:
        """Checkpoints that were finished, whatever became of them since."""
        found = [path for path in self.folder.glob("checkpoint-*.pt") if re.fullmatch(r"checkpoint-\d{12}", path.stem)]
        return sorted((path for path in found if path.with_suffix(".json").exists()), reverse=True)

    def _path(self, images: int) -> Path:
        return self.folder / f"checkpoint-{images:012d}.pt"
