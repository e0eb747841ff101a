"""One file from the network: mirrors in order, retries with backoff, resumed by Range, checked, and only then given its name.

pooch was tried for this: it starts every attempt from the first byte and knows no second address, so what it would do here
is a single GET, which the standard library does as well.
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

from transgan.errors import UserError
from transgan.utils import files

logger = logging.getLogger(__name__)


TIMEOUT_SECONDS = 30.0  # without a byte: the server stalls
ATTEMPTS = 5  # at one address
BACKOFF_SECONDS = 1.0  # before the second attempt, doubled for each one more
LONGEST_BACKOFF_SECONDS = 30.0
CHUNK = 256 * 1024
BUSY = (408, 425, 429)  # of the refusals, those that pass


class Unavailable(Exception):
    """No address gave the file; says what each of them answered."""


class _Refused(Exception):
    """This address will not give it: on to the next."""


class _Interrupted(Exception):
    """This address may give it at another attempt."""


@dataclass(frozen=True)
class Digests:
    """Both digests of a file, computed in one reading."""

    sha256: str
    md5: str

    @staticmethod
    def of(path: Path) -> "Digests":
        """Read `path` once."""
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                sha256.update(chunk)
                md5.update(chunk)
        return Digests(sha256.hexdigest(), md5.hexdigest())

    def agree(self, expected: str | None) -> bool:
        """Whether they are what `expected` says (sha256:... or md5:..., whole or its first digits; None: nothing is known)."""
        if expected is None:
            return True
        kind, _, value = expected.partition(":")
        return {"sha256": self.sha256, "md5": self.md5}[kind].startswith(value)


Advance = Callable[[int], None]


def download(urls: Sequence[str], target: Path, expected: str | None, advance: Advance) -> Digests:
    """Fetch `target` from the first of `urls` that gives it whole and right, going on with a partial download of an earlier call.

    `advance` is told of bytes as they come. Raises Unavailable when no address does, UserError when it cannot be written.
    """
    answers: list[str] = []
    for url in urls:
        for attempt in range(ATTEMPTS):
            try:
                return _attempt(url, target, expected, advance)
            except _Refused as refusal:
                answers.append(f"{_host(url)}: {refusal}")
                break
            except _Interrupted as interruption:
                if attempt + 1 == ATTEMPTS:
                    answers.append(f"{_host(url)}: {interruption}, {ATTEMPTS} times")
                    break
                pause = min(BACKOFF_SECONDS * 2**attempt, LONGEST_BACKOFF_SECONDS)
                logger.warning(f"{target.name}: {_host(url)}: {interruption}; trying again in {pause:.0f} s")
                time.sleep(pause)
    raise Unavailable("; ".join(answers) or "no address known")


def read_small(url: str, limit: int = 2**20) -> bytes | None:
    """The content of a small file, or None when the server does not have it."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            return bytes(response.read(limit))
    except (urllib.error.URLError, OSError, http.client.HTTPException, ValueError):
        return None


def _attempt(url: str, target: Path, expected: str | None, advance: Advance) -> Digests:
    part = target.with_name(f".{target.name}.part")
    _transfer(url, part, resumable=expected is not None, advance=advance)
    digests = Digests.of(part)
    if not digests.agree(expected):
        _discard(part)
        raise _Interrupted(
            f"not the published content (sha256 {digests.sha256[:16]}..., md5 {digests.md5}; expected {expected})"
        )
    with files.user_error_on_write(target):
        part.replace(target)
    _discard(part)
    return digests


def _transfer(url: str, part: Path, resumable: bool, advance: Advance) -> None:
    """Bring `part` to its full length from `url`.

    A part is gone on with when a digest will judge the whole (`resumable`), or when the same server says that its file is still the same.
    """
    with files.user_error_on_write(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    note = _note(part)
    validator = note.get("validator") if note.get("url") == url else None
    start = part.stat().st_size if part.exists() and (resumable or validator) else 0
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "transgan"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if not resumable and validator:
            request.add_header("If-Range", validator)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            _receive(response, url, part, start, advance)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # the part is as long as the file, or longer
            if error.headers.get("Content-Range") != f"bytes */{start}":
                _discard(part)
                raise _Interrupted("another length than before") from error
            return
        answer = f"HTTP {error.code} {error.reason}"
        raise (_Interrupted if error.code >= 500 or error.code in BUSY else _Refused)(answer) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(
            reason, socket.gaierror
        ):  # no such host, or no network at all: waiting a few seconds does not help
            raise _Refused(str(reason)) from error
        raise _Interrupted(str(reason) or type(reason).__name__) from error
    except ValueError as error:
        raise _Refused(str(error)) from error


def _receive(response: http.client.HTTPResponse, url: str, part: Path, start: int, advance: Advance) -> None:
    if response.headers.get_content_type() == "text/html":
        raise _Refused("answers with a web page (it asks for a login, a confirmation or patience)")
    start = start if response.status == 206 else 0
    if start and not str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-"):
        raise _Refused("answers with another range than asked for")
    length = response.headers.get("Content-Length")
    files.write_text(_note_path(part), json.dumps({"url": url, "validator": _validator(response.headers)}))
    with files.user_error_on_write(part):
        target = part.open("r+b" if start else "wb")
    received = 0
    with target:
        target.seek(start)
        while chunk := _next(response):
            _append(target, chunk, part)
            received += len(chunk)
            advance(len(chunk))
    if length is not None and received < int(length):
        raise _Interrupted(f"the connection was cut after {received:,} of {int(length):,} bytes")


def _next(response: http.client.HTTPResponse) -> bytes:
    """The next bytes as soon as any are there; network trouble is told apart from the disk's by where it is raised."""
    return response.read1(CHUNK)


def _append(target: IO[bytes], chunk: bytes, part: Path) -> None:
    with files.user_error_on_write(part):
        target.write(chunk)
        target.flush()


def _validator(headers: email.message.Message) -> str | None:
    """What If-Range may hold: a strong ETag, else the date of the last change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _note_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note(part: Path) -> dict[str, str | None]:
    """Where the part came from."""
    try:
        found = files.read_json(_note_path(part))
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc or url
