"""Downloads from a server with faults: retries, mirrors, resumed downloads, verified content."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from tests.data.http_server import (
    Server,
    cut,
    drip,
    drip_headers,
    endless,
    ignore_range,
    page,
    serving,
    stall,
    status,
    unasked_range,
    without_length,
    wrong,
)
from transgan.data.sources import download as module
from transgan.data.sources import http
from transgan.data.sources.download import Digests, Unavailable, download
from transgan.errors import UserError
from transgan.utils import files

CONTENT = np.random.default_rng(0).bytes(700_000)
DIGEST = "md5:" + __import__("hashlib").md5(CONTENT).hexdigest()
NAME = "archive.zip"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.5)


def get(server: Server, target: Path, expected: str | None = DIGEST, names: tuple[str, ...] = (NAME,)) -> Digests:
    return download([f"{server.url}/{name}" for name in names], target, expected, lambda count: None)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_without_faults(tmp_path: Path) -> None:
    received: list[int] = []
    with serving({NAME: CONTENT}) as server:
        digests = download([f"{server.url}/{NAME}"], tmp_path / NAME, DIGEST, received.append)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert digests.match(DIGEST)
    assert sum(received) == len(CONTENT)
    assert files_in(tmp_path) == [NAME]


@pytest.mark.parametrize("expected", [DIGEST, None])
def test_a_connection_cut_at_any_byte_is_resumed(tmp_path: Path, expected: str | None) -> None:
    points = [int(point) for point in np.random.default_rng(1).integers(1, len(CONTENT) // 4, 4)]
    with serving({NAME: CONTENT}) as server:
        server.faults[NAME] = [cut(point) for point in points]
        get(server, tmp_path / NAME, expected)
        starts = np.cumsum(points)
        assert server.ranges(NAME) == [None, *(f"bytes={start}-" for start in starts)]
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "fault",
    [
        status(500),
        status(503),
        status(429),
        cut(0),
        stall(0),
        stall(1000),
        wrong(b"something else"),
        wrong(CONTENT + b"more"),
    ],
)
def test_a_temporary_fault_is_retried(tmp_path: Path, fault: object) -> None:
    with serving({NAME: CONTENT}) as server:
        server.faults[NAME] = [fault]  # type: ignore[list-item]
        get(server, tmp_path / NAME)
        assert len(server.requests) == 2
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert files_in(tmp_path) == [NAME]


@pytest.mark.parametrize("fault", [status(404), status(403), status(410), page])
def test_after_a_refusal_the_next_mirror_is_tried_at_once(tmp_path: Path, fault: object) -> None:
    with serving({"a": CONTENT, "b": CONTENT}) as server:
        server.faults["a"] = [fault] * 9  # type: ignore[list-item]
        get(server, tmp_path / NAME, names=("a", "b"))
        assert [name for name, _ in server.requests] == ["a", "b"]
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [status(502), stall(10), wrong(b"something else")])
def test_after_repeated_faults_the_next_mirror_is_tried(tmp_path: Path, fault: object) -> None:
    with serving({"a": CONTENT, "b": CONTENT}) as server:
        server.faults["a"] = [fault] * module.ATTEMPTS  # type: ignore[list-item]
        get(server, tmp_path / NAME, names=("a", "b"))
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_part_from_one_mirror_is_resumed_from_the_next(tmp_path: Path) -> None:
    with serving({"a": CONTENT, "b": CONTENT}) as server:
        server.faults["a"] = [cut(1000), status(404)]
        get(server, tmp_path / NAME, names=("a", "b"))
        assert server.ranges("b") == ["bytes=1000-"]


def test_without_a_digest_parts_of_two_mirrors_are_never_joined(tmp_path: Path) -> None:
    with serving({"a": CONTENT[::-1], "b": CONTENT}) as server:
        server.faults["a"] = [cut(1000), status(404)]
        get(server, tmp_path / NAME, None, names=("a", "b"))
        assert server.ranges("b") == [None]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_without_a_digest_a_changed_file_is_downloaded_from_the_start(tmp_path: Path) -> None:
    with serving({NAME: CONTENT}) as server:
        server.faults[NAME] = [cut(1000)] + [status(500)] * (module.ATTEMPTS - 1)
        with pytest.raises(Unavailable):
            get(server, tmp_path / NAME, None)
        server.files[NAME] = CONTENT[::-1]
        get(server, tmp_path / NAME, None)
    assert (tmp_path / NAME).read_bytes() == CONTENT[::-1]


def test_a_server_without_range_support(tmp_path: Path) -> None:
    with serving({NAME: CONTENT}) as server:
        server.faults[NAME] = [cut(1000), ignore_range]
        get(server, tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("extra", [b"", b"too long"])
def test_a_part_that_is_complete_or_too_long(tmp_path: Path, extra: bytes) -> None:
    (tmp_path / f".{NAME}.part").write_bytes(CONTENT + extra)
    with serving({NAME: CONTENT}) as server:
        get(server, tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_damaged_part_is_discarded(tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.part").write_bytes(b"x" * 1000)
    with serving({NAME: CONTENT}) as server:
        get(server, tmp_path / NAME)
        assert server.ranges(NAME) == ["bytes=1000-", None]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_if_every_address_fails_each_failure_is_reported_and_no_file_appears(tmp_path: Path) -> None:
    with serving({"c": b"wrong"}) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server.faults["b"] = [page]
        urls = [
            f"{server.url}/a",
            f"{server.url}/b",
            f"{server.url}/c",
            f"http://127.0.0.1:{closed.getsockname()[1]}/d",
            "http://nowhere.invalid/e",
        ]
        with pytest.raises(Unavailable) as error:
            download(urls, tmp_path / NAME, DIGEST, lambda count: None)
    for answer in ("HTTP 404", "web page", "not the published content", "refused", "nowhere.invalid"):
        assert answer in str(error.value)
    assert not (tmp_path / NAME).exists()


def test_a_full_disk_keeps_the_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, free = module._append, [300_000]

    def full(target: object, chunk: bytes, part: Path) -> None:
        free[0] -= len(chunk)
        with files.user_error_on_write(part):
            if free[0] < 0:
                raise OSError(28, "No space left on device")
        append(target, chunk, part)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_append", full)
    with serving({NAME: CONTENT}) as server:
        with pytest.raises(UserError, match=r"\.archive\.zip\.part: cannot be written \(No space left on device\)"):
            get(server, tmp_path / NAME)
        assert len(server.requests) == 1  # a full disk is not a network fault
        assert not (tmp_path / NAME).exists()
        monkeypatch.setattr(module, "_append", append)
        get(server, tmp_path / NAME)
        assert server.ranges(NAME)[1] is not None
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_download_resumes_after_sigkill(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from transgan.data.sources.download import download
        download([sys.argv[1]], Path(sys.argv[2]), sys.argv[3], lambda count: None)
    """
    with serving({NAME: CONTENT}) as server:
        server.faults[NAME] = [stall(500_000)]
        command = [sys.executable, "-c", textwrap.dedent(code), f"{server.url}/{NAME}", str(tmp_path / NAME), DIGEST]
        part = tmp_path / f".{NAME}.part"
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (not part.exists() or part.stat().st_size < 500_000):
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert part.stat().st_size == 500_000
        assert not (tmp_path / NAME).exists()
        get(server, tmp_path / NAME)
        assert server.ranges(NAME) == [None, "bytes=500000-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert files_in(tmp_path) == [NAME]


@pytest.mark.faults
@pytest.mark.parametrize("fault", [endless, wrong(CONTENT + b"x"), drip, drip_headers, unasked_range])
@pytest.mark.parametrize("expected", [DIGEST, None])
def test_a_server_without_end_or_haste_is_left_for_the_next_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: object, expected: str | None
) -> None:
    monkeypatch.setattr(http, "PERIOD_SECONDS", 0.5)
    with serving({"a": CONTENT, "b": CONTENT}) as server:
        server.faults["a"] = [fault] * module.ATTEMPTS  # type: ignore[list-item]
        urls = [f"{server.url}/a", f"{server.url}/b"]
        download(urls, tmp_path / NAME, expected, lambda count: None, limit=len(CONTENT))
        assert [name for name, _ in server.requests] == ["a", "b"]
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert files_in(tmp_path) == [NAME]


@pytest.mark.faults
def test_without_a_digest_a_file_of_unknown_length_is_not_taken(tmp_path: Path) -> None:
    """A cut connection looks like its end."""
    with serving({NAME: CONTENT}) as server:
        server.faults[NAME] = [without_length(CONTENT[:1000])]
        with pytest.raises(Unavailable, match=r"does not say how long the file is.*SHA256SUMS"):
            get(server, tmp_path / NAME, None)
        server.faults[NAME] = [without_length(CONTENT)]
        get(server, tmp_path / NAME, DIGEST)
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.faults
@pytest.mark.parametrize("url", ["http://[::1/a", "nowhere", "", "http://"])
def test_an_address_that_is_none_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(Unavailable):
        download([url], tmp_path / NAME, DIGEST, lambda count: None)


@pytest.mark.faults
def test_a_small_file_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PERIOD_SECONDS", 0.5)
    with serving({NAME: CONTENT}) as server:
        server.faults[NAME] = [drip]
        assert module.read_small_file(f"{server.url}/{NAME}") is None
