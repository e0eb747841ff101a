"""Masks passwords and tokens in whatever leaves the process: messages, tracebacks, logs, MLflow's tags.

They come from addresses (MLFLOW_TRACKING_URI, `data.mirror`, proxies) and from the environment, and libraries put them
into their exceptions' texts. `mask` hides what looks like a credential, and every credential that is known, wherever it
stands. Imports nothing that takes time.
"""

import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
SHORTEST = 5  # characters of a credential that is hidden wherever it stands; shorter ones would hide ordinary text

# Variables whose value is a credential: MLFLOW_TRACKING_PASSWORD, AWS_SECRET_ACCESS_KEY, HF_TOKEN, ...
_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|token|secret|credential|(?:api|access|account|auth|private|secret)_?key|sas"
    r"|(?:connection|conn)_string)(?:$|_(?!file|path|dir|url|id))",
    re.IGNORECASE,
)
# The part of an address before its host. A password may contain unquoted characters, so that it may end at any @:
# everything up to the last one is hidden, even if that hides a part of the path.
_USER = re.compile(r"(?P<scheme>\b[a-zA-Z][\w+.-]*://)(?P<user>[^\s/?#@'\"<>:]*:[^\s'\"<>]*@|[^\s/?#'\"<>]*@)")
# The same where the scheme was forgotten: user:password@host. An image of a container has a digest in that place.
_NO_SCHEME = re.compile(r"(?<![\w/@:.+-])(?P<user>[\w.%+-]+:[^\s'\"<>@/:]+@)(?!sha\d+:)(?=[\w\[])")
# Everything after ? in an address: signatures and tokens have many names.
_QUERY = re.compile(r"(?P<address>\b[a-zA-Z][\w+.-]*://[^\s?#'\"<>]*\?)[^\s#'\"<>)]+")
# A parameter of an address without its host, as urllib3 names it.
_PARAMETER = re.compile(
    r"(?P<name>[?&;][\w.%-]*(?:token|sig|signature|key|key-?id|secret|passw(?:or)?d|pwd|credential|auth|code|policy)=)"
    r"[^\s&;#'\"<>)]+",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<header>\b(?:authorization|proxy-authorization|x-api-key|x-auth-token|cookie)\b['\"]?\s*[:=]\s*['\"]?)[^'\"\r\n]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(?P<kind>basic|bearer)\s+(?=[\w+/.~-]*[\d=._-])[\w+/.~-]{8,}=*", re.IGNORECASE)
# As a connection string or a dictionary that is printed has it.
_ASSIGNED = re.compile(
    r"(?P<name>\b(?:[\w-]*[_-])?(?:password|passwd|passphrase|pwd|secret|api_?key|access_?key|token)(?:['\"]\s*:|\s*=)\s*)"
    r"(?P<quote>['\"]?)[^\s'\"&;,)]+",
    re.IGNORECASE,
)

_learned: set[str] = set()


def mask(text: str) -> str:
    """`text` with credentials replaced by ***."""
    for known in _known():
        text = text.replace(known, MASK)
    if "://" in text:
        text = _USER.sub(rf"\g<scheme>{MASK}@", text)
        text = _QUERY.sub(rf"\g<address>{MASK}", text)
    text = _NO_SCHEME.sub(f"{MASK}@", text)
    text = _PARAMETER.sub(rf"\g<name>{MASK}", text)
    text = _HEADER.sub(rf"\g<header>{MASK}", text)
    text = _SCHEME.sub(rf"\g<kind> {MASK}", text)
    return _ASSIGNED.sub(rf"\g<name>\g<quote>{MASK}", text)


def mask_values(value: Any) -> Any:
    """JSON-compatible data with credentials masked in its text. Keys, numbers and the structure stay as they are."""
    match value:
        case str():
            return mask(value)
        case dict():
            return {key: mask_values(inner) for key, inner in value.items()}
        case list() | tuple():
            return [mask_values(inner) for inner in value]
    return value


def learn(address: str) -> None:
    """Hide the credentials of an address from now on, also where a message has only a part of it."""
    _learned.update(_credentials(address))


def mask_streams() -> None:
    """Mask what this process writes to standard output and standard error, libraries and tracebacks included."""
    sys.stdout, sys.stderr = _masked(sys.stdout, "standard output"), _masked(sys.stderr, "standard error")


class _MaskedStream(io.TextIOWrapper):
    title = ""

    def write(self, text: str) -> int:
        self.write_exactly(mask(text))
        return len(text)

    def write_exactly(self, text: str) -> None:
        with self._named_errors():
            super().write(text)

    def flush(self) -> None:
        with self._named_errors():
            super().flush()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """An error such as a full disk says which stream it was, as that of a file does."""
        try:
            yield
        except OSError as error:
            if error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, self.title) from error


def write_exactly(stream: TextIO, text: str) -> None:
    """Write `text`, in which credentials are masked already, also where the stream would mask it again."""
    if isinstance(stream, _MaskedStream):
        stream.write_exactly(text)
    else:
        stream.write(text)


def _masked(stream: TextIO, title: str) -> TextIO:
    """`stream` if it is no stream of bytes underneath (a notebook's, or None under pythonw), else one that masks."""
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, _MaskedStream):
        return stream
    masked = _MaskedStream(
        stream.buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    masked.title = title
    return masked


def _known() -> list[str]:
    """The credentials that are known, the longest first."""
    found = set(_learned)
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name):
            found.update(_spellings([value]))
        elif "@" in value or "://" in value:
            found.update(_credentials(value))
    return sorted(found, key=len, reverse=True)


def _credentials(address: str) -> set[str]:
    """The passwords of an address, and the long values of its query."""
    found = _USER.search(address) or _NO_SCHEME.search(address)
    user, _, password = found["user"].removesuffix("@").partition(":") if found else ("", "", "")
    values = [pair.partition("=")[2] for pair in re.split("[?&;]", address.partition("#")[0])[1:]]
    first = password.partition("@")[0]  # where a reader ends it at the first @
    return _spellings([password or user, first, *(value for value in values if len(value) >= 12)])


def _spellings(values: Iterable[str]) -> set[str]:
    """Each value as it is, unquoted, and quoted as addresses quote it; without values too short or too common."""
    spelled = {
        spelling
        for value in values
        for spelling in (
            value,
            unquote(value),
            quote(value, safe=""),
            quote(value),
            quote_plus(value),
            repr(value)[1:-1],
        )
    }
    return {text for text in spelled if len(text) >= SHORTEST and text.lower() not in ("false", "true", "none")}
