"""Distributes the GPUs of a machine among concurrent processes of this project: each takes a free one."""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import BaseFileLock

from transgan.utils.locks import try_lock

logger = logging.getLogger(__name__)

# GPU name -> its lock, held until the process ends; None: the GPU is shared
_leases: dict[str, BaseFileLock | None] = {}


def lease_gpu(names: Sequence[str], folder: Path | None = None) -> int:
    """Take the first of the GPUs `names` (unique, such as UUIDs) that no other process holds, and return its index.

    The process holds the GPU until it ends, and a second call returns the same index. When all GPUs are taken, the
    process shares one: with torchrun or several processes of one run, the one with the index LOCAL_RANK modulo the
    number of GPUs, otherwise the first. The locks are files in `folder`, by default a folder of the user's in the
    system's folder for temporary files.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"transgan-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        if name in _leases:
            return index
    for index, name in enumerate(names):
        lock = try_lock(folder / f"{name}.lock")
        if lock is None:
            continue
        _leases[name] = lock
        return index
    shared = int(os.environ.get("LOCAL_RANK", "0")) % len(names)
    _leases[names[shared]] = None  # a later call must return the GPU on which this process's networks are
    if len(names) > 1:
        logger.warning(f"other processes of this project hold all {len(names)} GPUs; this one shares GPU {shared}")
    return shared
