"""Checkpoints of a run in its state folder, with checksums; the newest ones are kept.

`checkpoint-<images>.pt` is a tree of tensors, numbers and strings, and nothing else in it is unpickled. The `.json`
beside it is written last, with the digest and the fingerprint. Without it a checkpoint is incomplete and is ignored.
"""

import logging
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from transgan.errors import UserError
from transgan.utils import files

logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints in one state folder, all of one fingerprint. The newest `keep` of them are kept."""

    def __init__(self, folder: Path, fingerprint: str, keep: int) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.keep = keep

    def save(self, images: int, state: dict[str, Any]) -> None:
        """Write the checkpoint after `images` real images, then delete the oldest ones.

        Raises UserError if it cannot be written; the previous checkpoints are not touched.
        """
        path = self._path(images)
        with files.atomic(path) as temporary:
            try:
                torch.save({"fingerprint": self.fingerprint, "state": state}, temporary)
            except RuntimeError as error:  # torch.save raises it if the disk is full
                raise OSError(str(error).splitlines()[0]) from error
        files.write_json(
            path.with_suffix(".json"), {"fingerprint": self.fingerprint, "images": images, "sha256": files.sha256(path)}
        )
        older = [other for other in self._newest_first() if other.name <= path.name]
        for other in older[self.keep :]:
            other.with_suffix(".json").unlink(missing_ok=True)
            other.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The state of the newest good checkpoint, or None if there are no checkpoints.

        A damaged checkpoint is skipped with a warning. Raises UserError if all are damaged, or if the newest good one
        belongs to another configuration.
        """
        # Left by a process that was killed while writing. All processes of a run delete them, so one may be missing.
        for unfinished in self.folder.glob(".checkpoint-*.tmp"):
            unfinished.unlink(missing_ok=True)
        paths = self._newest_first()
        for path in paths:
            try:
                return self._read(path)
            except (ValueError, KeyError, RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
                logger.warning(
                    f"{path}: damaged ({' '.join(str(error).split())[:120]}); the previous checkpoint is used"
                )
        if paths:
            raise UserError(
                f"{self.folder}: all {len(paths)} checkpoints are damaged; "
                f"restore one, or move the folder away to start from the beginning"
            )
        return None

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            recorded = files.read_object(path.with_suffix(".json"), sha256=str)
        except UserError as error:
            raise ValueError(str(error)) from error
        if files.sha256(path) != recorded["sha256"]:
            raise ValueError("its checksum is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or not isinstance(content.get("state"), dict):
            raise ValueError("it holds no state of training")
        if content["fingerprint"] != self.fingerprint:
            raise UserError(
                f"{path}: belongs to fingerprint {content['fingerprint']}, but this run has {self.fingerprint}; "
                f"move it back to its own folder"
            )
        state: dict[str, Any] = content["state"]
        return state

    def _newest_first(self) -> list[Path]:
        """Checkpoints that were written to their end. They may be damaged since."""
        paths = [path for path in self.folder.glob("checkpoint-*.pt") if re.fullmatch(r"checkpoint-\d{12}", path.stem)]
        return sorted((path for path in paths if path.with_suffix(".json").exists()), reverse=True)

    def _path(self, images: int) -> Path:
        return self.folder / f"checkpoint-{images:012d}.pt"
