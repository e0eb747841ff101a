"""HTTP connections that do not wait for ever: a server that sends too slowly is given up.

A timeout of a socket starts anew with every byte. Here the bytes of each period are counted, those of headers and of
the lengths between chunks included.
"""

import http.client
import io
import socket
import time
import urllib.request
from typing import Any

PERIOD_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 1000.0  # over a period; at this rate, a gigabyte takes twelve days


class TooSlow(OSError):
    """A server sends fewer bytes than SLOWEST_BYTES_PER_SECOND."""


def open_url(request: urllib.request.Request | str, timeout: float) -> Any:
    """Open a URL as `urllib.request.urlopen` does. Reading the response raises TooSlow when the server is too slow."""
    return urllib.request.build_opener(_HttpHandler, _HttpsHandler).open(request, timeout=timeout)


class _PacedBytes(io.RawIOBase):
    """Reads another raw stream and raises TooSlow when a period brings too few bytes."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw, self._started, self._count = raw, 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        now = time.monotonic()
        self._started = self._started or now  # a period begins with a byte: before, the timeout applies
        self._count += count or 0
        if now - self._started > PERIOD_SECONDS:
            if self._count < PERIOD_SECONDS * SLOWEST_BYTES_PER_SECOND:
                raise TooSlow(f"sends {self._count:,} bytes in {now - self._started:.0f} s, which is too slow")
            self._started, self._count = now, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_PacedBytes(self.fp.detach()))


class _HttpConnection(http.client.HTTPConnection):
    response_class = _PacedResponse


class _HttpsConnection(http.client.HTTPSConnection):
    response_class = _PacedResponse


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpConnection, request)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpsConnection, request)
