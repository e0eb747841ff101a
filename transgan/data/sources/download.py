"""Downloading one file: tries mirrors in order, retries with backoff, resumes with HTTP Range, verifies the digest.

Bytes go to .<name>.part, which is renamed to <name> once its content is verified. .<name>.part.json records which
address the part comes from. The library pooch would save no code here: it restarts each attempt at the first byte and
knows one address.
"""

import email.message
import hashlib
import http.client
import json
import logging
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from transgan.data.sources import addresses
from transgan.data.sources.http import TooSlow, open_url
from transgan.errors import UserError
from transgan.utils import files
from transgan.utils.secrets import mask

logger = logging.getLogger(__name__)


TIMEOUT_SECONDS = 30.0  # without a byte; transgan.data.sources.http limits how slowly bytes may arrive
ATTEMPTS = 5  # at one address
BACKOFF_SECONDS = 1.0  # before the second attempt; doubles with each further attempt
LONGEST_BACKOFF_SECONDS = 30.0
CHUNK_BYTES = 256 * 1024
RETRIABLE_STATUSES = (408, 425, 429)  # of the 4xx statuses
SMALL_FILE_SECONDS = 60.0
MAX_FILE_BYTES = 2**40  # where no size is known


class Unavailable(Exception):
    """No address provided the file. The message lists the failure of each address."""


class _PermanentFailure(Exception):
    """This address will not provide the file; the next one is tried."""


class _TemporaryFailure(Exception):
    """This address may provide the file at another attempt."""


@dataclass(frozen=True)
class Digests:
    """SHA-256 and MD5 of a file."""

    sha256: str
    md5: str

    @staticmethod
    def of(path: Path) -> "Digests":
        """Compute both digests in one pass over `path`."""
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                sha256.update(chunk)
                md5.update(chunk)
        return Digests(sha256.hexdigest(), md5.hexdigest())

    def match(self, expected: str | None) -> bool:
        """Whether they match `expected`: sha256:... or md5:..., in full. None matches anything."""
        if expected is None:
            return True
        kind, _, value = expected.partition(":")
        return {"sha256": self.sha256, "md5": self.md5}[kind] == value


Advance = Callable[[int], None]


def download(
    urls: Sequence[str], target: Path, expected: str | None, advance: Advance, limit: int = MAX_FILE_BYTES
) -> Digests:
    """Download `target` from the first of `urls` that provides the expected content; return its digests.

    Resumes a partial download of an earlier call. Calls `advance` with the number of bytes received. An address that
    sends more than `limit` bytes is left. Raises Unavailable when every address fails, and UserError when the file
    cannot be written.
    """
    failures: list[str] = []
    for url in urls:
        for attempt in range(ATTEMPTS):
            try:
                return _attempt(url, target, expected, advance, limit)
            except _PermanentFailure as failure:
                failures.append(f"{addresses.host(url)}: {failure}")
                break
            except _TemporaryFailure as failure:
                if attempt + 1 == ATTEMPTS:
                    failures.append(f"{addresses.host(url)}: {failure}, {ATTEMPTS} times")
                    break
                pause = min(BACKOFF_SECONDS * 2**attempt, LONGEST_BACKOFF_SECONDS)
                logger.warning(f"{target.name}: {addresses.host(url)}: {failure}; trying again in {pause:.0f} s")
                time.sleep(pause)
    raise Unavailable("; ".join(failures) or "no address known")


def read_small_file(url: str, limit: int = 2**20) -> bytes | None:
    """Return the first `limit` bytes of a file, or None when the server does not provide it."""
    content, end = bytearray(), time.monotonic() + SMALL_FILE_SECONDS
    try:
        with open_url(addresses.request(url), TIMEOUT_SECONDS) as response:
            while len(content) < limit and time.monotonic() < end and (chunk := response.read1(limit - len(content))):
                content += chunk
    except (urllib.error.URLError, OSError, http.client.HTTPException, ValueError):
        return None
    return bytes(content)


def _attempt(url: str, target: Path, expected: str | None, advance: Advance, limit: int) -> Digests:
    """Download the file, verify it and rename it to `target`."""
    part = target.with_name(f".{target.name}.part")
    _transfer(url, part, expected is not None, advance, limit)
    digests = Digests.of(part)
    if not digests.match(expected):
        _discard(part)
        raise _TemporaryFailure(
            f"not the published content (sha256 {digests.sha256[:16]}..., md5 {digests.md5}; expected {expected})"
        )
    with files.user_error_on_write(target):
        part.replace(target)
    _discard(part)
    return digests


def _transfer(url: str, part: Path, resumable: bool, advance: Advance, limit: int) -> None:
    """Download the missing bytes of `part` from `url`.

    A partial download is resumed if a digest will verify the whole file (`resumable`), or if the same server confirms
    (If-Range) that its file has not changed. Without a digest, the server must say where the file ends.
    """
    with files.user_error_on_write(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    origin = _read_origin(part)
    validator = origin.get("validator") if origin.get("url") == mask(url) else None
    start = part.stat().st_size if part.exists() and (resumable or validator) else 0
    if start > limit:
        _discard(part)
        start = 0
    try:
        request = addresses.request(url)
        if start:
            request.add_header("Range", f"bytes={start}-")
            if not resumable and validator:
                request.add_header("If-Range", validator)
        with open_url(request, TIMEOUT_SECONDS) as response:
            _check_response(response, start, resumable, limit)
            _receive(response, url, part, start if response.status == 206 else 0, advance, limit)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # range not satisfiable: the part is as long as the file, or longer
            if error.headers.get("Content-Range") != f"bytes */{start}":
                _discard(part)
                raise _TemporaryFailure("the file now has another length") from error
            return
        temporary = error.code >= 500 or error.code in RETRIABLE_STATUSES
        failure = _TemporaryFailure if temporary else _PermanentFailure
        raise failure(f"HTTP {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TooSlow):  # another mirror may be faster
            raise _PermanentFailure(str(reason)) from error
        if isinstance(reason, socket.gaierror):  # no such host, or no network: a few seconds will not change that
            raise _PermanentFailure(str(reason)) from error
        raise _TemporaryFailure(str(reason) or type(reason).__name__) from error
    except ValueError as error:
        raise _PermanentFailure(str(error)) from error


def _check_response(response: http.client.HTTPResponse, start: int, verified: bool, limit: int) -> None:
    """Raise _PermanentFailure for a response that cannot bring the file from byte `start`, or from its first byte.

    `verified`: a digest will tell whether the file is complete.
    """
    if response.headers.get_content_type() == "text/html":
        raise _PermanentFailure("answers with a web page (a login, a confirmation or a quota message)")
    resumed = response.status == 206
    if resumed and not str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-"):
        raise _PermanentFailure("answers with another range than requested")
    if resumed and not start:
        raise _PermanentFailure("answers with a range, but the whole file was requested")
    length = int(response.headers.get("Content-Length", 0))
    if not length and not getattr(response, "chunked", False) and not verified:
        raise _PermanentFailure(
            "does not say how long the file is, so a cut connection would go unnoticed;"
            " add the file's SHA-256 to SHA256SUMS of the mirror"
        )
    if (start if resumed else 0) + length > limit:
        raise _PermanentFailure(f"announces a file of more than {limit:,} bytes, which it should have at most")


def _receive(
    response: http.client.HTTPResponse, url: str, part: Path, start: int, advance: Advance, limit: int
) -> None:
    """Write the response's body to `part`, from byte `start` on."""
    length = response.headers.get("Content-Length")
    files.write_text(_origin_path(part), json.dumps({"url": mask(url), "validator": _validator(response.headers)}))
    with files.user_error_on_write(part):
        target = part.open("r+b" if start else "wb")
    received = 0
    with target:
        target.seek(start)
        while chunk := _next(response):
            if start + received + len(chunk) > limit:
                _discard(part)
                raise _PermanentFailure(f"sends more than {limit:,} bytes, which the file should have at most")
            _append(target, chunk, part)
            received += len(chunk)
            advance(len(chunk))
    if length is not None and received < int(length):
        raise _TemporaryFailure(f"the connection was cut after {received:,} of {int(length):,} bytes")


def _next(response: http.client.HTTPResponse) -> bytes:
    """Return the next bytes as soon as any arrive. Network errors are raised here, disk errors in `_append`."""
    return response.read1(CHUNK_BYTES)


def _append(target: IO[bytes], chunk: bytes, part: Path) -> None:
    with files.user_error_on_write(part):
        target.write(chunk)
        target.flush()


def _validator(headers: email.message.Message) -> str | None:
    """Return a value for If-Range: the ETag if it is strong, else the date of the last change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _origin_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_origin(part: Path) -> dict[str, str | None]:
    """Return the address that `part` comes from and its validator; empty when that is unknown."""
    try:
        origin = files.read_json(_origin_path(part))
    except UserError:
        return {}
    return origin if isinstance(origin, dict) else {}


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _origin_path(part).unlink(missing_ok=True)
