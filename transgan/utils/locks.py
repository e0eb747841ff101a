"""Locks between processes: a lock file that one of them holds.

They use flock, which ends with its process. File systems without it (some network, FUSE and cluster file systems) get a
file with the holder's process id and host beside it; another process of that host takes it over once its holder ended.
"""

import errno
import fcntl
import logging
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from transgan.errors import UserError

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
TAKE_OVER_SECONDS = 0.2  # a lock file whose process has ended is removed by one attempt and taken by the next
_NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def lock(
    path: Path, what: str, wait: bool = False, longest: float = math.inf, doing: str = "is working on it"
) -> Iterator[None]:
    """Hold the lock file `path`. If another process holds it, raise UserError, or with `wait` say so and wait.

    `what` names the work in messages, and `doing` says what the holder is at. After `longest` seconds of waiting,
    raises UserError as well.
    """
    held = try_lock(path)
    if held is None:
        busy = f"{what}: {_owner(path)}"
        if not wait:
            raise UserError(f"{busy} {doing} (lock {path}); wait for it or stop it{_hint(path)}")
        limit = "" if longest == math.inf else f" for up to {longest:.0f} s"
        logger.info(f"{busy} {doing}; waiting for it{limit}{_hint(path)}")
        end = time.monotonic() + longest
        while (held := try_lock(path)) is None:
            if time.monotonic() > end:
                raise UserError(f"{busy} has held {path} for {longest:.0f} s; end it: `fuser -v {path}` shows it")
            time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        held.release()


def try_lock(path: Path) -> BaseFileLock | None:
    """The lock on `path`, acquired; None if another process holds it. Raises UserError if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _acquired(FileLock(path, fallback_to_soft=False))
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            _say_no_flock(str(error.strerror))
            return _acquired(SoftFileLock(_soft(path)), TAKE_OVER_SECONDS)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "fix its permissions, then run the same command again"
        ) from error


def flock_error(folder: Path) -> str | None:
    """Why files in `folder` cannot be locked with flock, in the system's words; None if they can."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.strerror
    return None


def _acquired(lock: BaseFileLock, seconds: float = 0) -> BaseFileLock | None:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return None
    return lock


def _soft(path: Path) -> Path:
    """The file that stands for the lock where there is no flock; `path` may be left over from a system that has it."""
    return path.with_name(f"{path.name}.owner")


def _owner(path: Path) -> str:
    """The process that holds a lock, as far as it is known."""
    try:
        pid, host = _soft(path).read_text(errors="replace").splitlines()[:2]
    except (OSError, ValueError):
        return "another process"
    return f"process {pid} on {host}"


def _hint(path: Path) -> str:
    return f"; if it has ended, delete {_soft(path)}" if _soft(path).exists() else ""


@cache
def _say_no_flock(reason: str) -> None:
    logger.warning(
        f"this file system has no flock ({reason}): locks are files with a process id and a host; "
        "delete what a process of another host leaves behind when it is killed"
    )
