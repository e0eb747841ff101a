"""Files: the atomic writer that writes every result, digests and links.

Tests inject a full disk or a read-only folder as an OSError in `atomic`, the only place where results are written.
"""

import csv
import hashlib
import io
import json
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from transgan.errors import UserError

DIGEST_CHUNK = 2**18  # bytes; small enough to stay in the CPU's cache between reading and hashing


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; on success flush it to disk and rename it to `path`, else remove it.

    Raises UserError when the folder cannot be written or the disk is full. An earlier file at `path` then stays as it
    was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        _remove(temporary)
        raise _unwritable(path, error) from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(temporary: Path) -> None:
    """Remove what is left of a failed write, unless that fails for the same reason: a file system turned read-only."""
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


@contextmanager
def user_error_on_write(path: Path) -> Iterator[None]:
    """Raise UserError for an OSError while `path` is written in place. The file (a partial download or pack) stays."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: cannot be written ({error.strerror or error}); "
        "free disk space or fix its permissions, then run the same command again"
    )


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def to_bytes(text: str) -> bytes:
    """Encode `text` as UTF-8. A file name that is not valid UTF-8, as Python decodes it, becomes its original bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a character, which no file name gives
        return text.encode("utf-8", "backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically, as `to_bytes` encodes it."""
    write_bytes(path, to_bytes(text))


def dumps(value: Any) -> str:
    """JSON with sorted keys and a final newline: equal values give equal text."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as sorted JSON."""
    write_text(path, dumps(value))


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a table atomically as CSV with Unix line endings."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_json(path: Path, command: str | None = None) -> Any:
    """Read JSON. Raises UserError naming the file if it is missing, damaged or a folder.

    `command` is the one that writes the file; None: the one that reads it writes it again.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: not there; {f'run `{command}` first' if command else 'name another file'}") from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); remove it or fix its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise damaged_json(path, str(error), command) from error


def read_object(path: Path, command: str | None = None, /, **types: type) -> dict[str, Any]:
    """Read a JSON object whose keys `types` are there and of these types. Raises UserError as `read_json` does."""
    content = read_json(path, command)
    if not isinstance(content, dict):
        raise damaged_json(path, f"a JSON {type(content).__name__} where an object is expected", command)
    for key, kind in types.items():
        if not isinstance(content.get(key), kind):
            reason = f"its {key} is no {kind.__name__}" if key in content else f"it has no {key}"
            raise damaged_json(path, reason, command)
    return content


def damaged_json(path: Path, reason: str, command: str | None) -> UserError:
    """Return the error to raise for a JSON file of this project that is damaged; `command` is that of `read_json`."""
    again = f"run `{command}` again" if command else "run the same command again"
    return UserError(f"{path}: damaged ({reason}); delete it (`rm {shlex.quote(str(path))}`), then {again}")


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class GrowingDigest:
    """SHA-256 of a file that is written from beginning to end, computed while the file grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._hash, self._at = path, hashlib.sha256(), 0
        self._chunk = memoryview(bytearray(DIGEST_CHUNK))

    def advance(self, end: int, most: int | None = None) -> None:
        """Hash the bytes before `end` that have not been hashed yet, at most `most` of them in this call; None: all."""
        end = end if most is None else min(end, self._at + most)
        with self._path.open("rb", buffering=0) as file:
            file.seek(self._at)
            while self._at < end and (count := file.readinto(self._chunk[: end - self._at])):
                self._hash.update(self._chunk[:count])
                self._at += count

    def hexdigest(self) -> str:
        """Hex digest of the bytes hashed so far."""
        return self._hash.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy where links are not possible. Atomic."""
    if target.exists() and target.samefile(source):
        return
    with atomic(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def read_failure(path: Path, error: OSError) -> str:
    """Why a file cannot be read, in words: the system's reason, or that it is a link to what is not there."""
    if path.is_symlink() and not path.exists():
        return f"a link to {path.readlink()}, which is not there"
    return error.strerror or str(error)
