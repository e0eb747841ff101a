"""An HTTP server on 127.0.0.1 that serves files, correctly or with faults."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["_Handler", bytes], None]


def status(code: int) -> Fault:
    """Answer with an HTTP error."""
    return lambda handler, content: handler.send_error(code)


def cut(after: int) -> Fault:
    """Announce the whole file (or the requested range), send `after` bytes and close the connection."""

    def act(handler: "_Handler", content: bytes) -> None:
        handler.answer(content, upto=after)
        handler.close_connection = True

    return act


def stall(after: int) -> Fault:
    """Send `after` bytes, then nothing until the test ends."""

    def act(handler: "_Handler", content: bytes) -> None:
        handler.answer(content, upto=after)
        handler.server.over.wait(20)  # type: ignore[attr-defined]
        handler.close_connection = True

    return act


def without_length(content: bytes) -> Fault:
    """Serve `content` and close the connection, which alone marks its end."""

    def act(handler: "_Handler", right: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    return act


def endless(handler: "_Handler", content: bytes) -> None:
    """Announce no length and send zeros until the client has had enough."""
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        while True:
            handler.wfile.write(bytes(2**16))


def drip(handler: "_Handler", content: bytes) -> None:
    """Send a byte every tenth of a second."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    with suppress(OSError):
        for byte in content:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            handler.server.over.wait(0.1)  # type: ignore[attr-defined]


def drip_headers(handler: "_Handler", content: bytes) -> None:
    """Send an endless header, a byte every tenth of a second."""
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not handler.server.over.wait(0.1):  # type: ignore[attr-defined]
            handler.wfile.write(b"x")
            handler.wfile.flush()


def unasked_range(handler: "_Handler", content: bytes) -> None:
    """Answer 206 with the end of the file although no range was requested."""
    half = len(content) // 2
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {half}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - half))
    handler.end_headers()
    handler.wfile.write(content[half:])


def wrong(content: bytes) -> Fault:
    """Serve other content."""
    return lambda handler, right: handler.answer(content)


def page(handler: "_Handler", content: bytes) -> None:
    """Answer 200 with a web page, as file hosts do when they refuse a download."""
    handler.answer(b"<html>quota exceeded</html>", kind="text/html")


def ignore_range(handler: "_Handler", content: bytes) -> None:
    """Serve the whole file although a range was requested."""
    handler.headers.replace_header("Range", "") if "Range" in handler.headers else None
    handler.answer(content)


@dataclass
class Server:
    """The served files, the faults to show first for each name, and the requests received: (name, Range header)."""

    url: str
    files: dict[str, bytes]
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def ranges(self, name: str) -> list[str | None]:
        return [value for requested, value in self.requests if requested == name]


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve `files` under their names at the root of a local server."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_port}", files)
    http.app, http.over = server, threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.over.set()  # type: ignore[attr-defined]
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        app: Server = self.server.app  # type: ignore[attr-defined]
        name = self.path.lstrip("/")
        app.requests.append((name, self.headers.get("Range")))
        faults = app.faults.get(name, [])
        content = app.files.get(name)
        if faults:
            faults.pop(0)(self, content or b"")
        elif content is None:
            self.send_error(404)
        else:
            self.answer(content)

    def answer(self, content: bytes, upto: int | None = None, kind: str = "application/octet-stream") -> None:
        start = 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if self.headers.get("If-Range", etag) != etag:
            start = 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(content[start:][:upto])
        self.wfile.flush()

    def log_message(self, format: str, *arguments: object) -> None:
        pass
