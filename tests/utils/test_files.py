"""A failed write leaves no partial file, and the earlier file survives."""

import hashlib
import os
from pathlib import Path

import pytest

from transgan.errors import UserError
from transgan.utils import files


def test_a_failed_write_leaves_the_old_file_and_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def fail() -> None:
        with files.atomic(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_does_not_depend_on_key_order_and_refuses_nan(tmp_path: Path) -> None:
    assert files.dumps({"b": 1, "a": 2}) == files.dumps({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        files.dumps({"a": float("nan")})


def test_missing_or_damaged_json_is_a_user_error_naming_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json: damaged"):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match="not there"):
        files.read_json(tmp_path / "b.json")


def test_link_or_copy_links_and_replaces(tmp_path: Path) -> None:
    source, target = tmp_path / "state" / "x", tmp_path / "results" / "x"
    files.write_text(source, "one")
    files.link_or_copy(source, target)
    assert target.samefile(source)
    files.write_text(source, "two")  # a new file: the link still shows the old one
    assert target.read_text() == "one"
    files.link_or_copy(source, target)
    assert target.read_text() == "two"


def test_link_or_copy_copies_where_links_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    source = tmp_path / "x"
    files.write_text(source, "one")
    monkeypatch.setattr(os, "link", refuse)
    files.link_or_copy(source, tmp_path / "y")
    assert (tmp_path / "y").read_text() == "one"
    assert not (tmp_path / "y").samefile(source)


def test_a_growing_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = os.urandom(3 * files.DIGEST_CHUNK + 5)
    path = tmp_path / "grows"
    digest = files.GrowingDigest(path)
    for end in (10, files.DIGEST_CHUNK + 7, len(content)):
        path.write_bytes(content[:end])
        digest.advance(end, most=files.DIGEST_CHUNK)
    assert (
        digest.hexdigest() == hashlib.sha256(content[: 2 * files.DIGEST_CHUNK + 7]).hexdigest()
    )  # `most` limits the first calls
    digest.advance(len(content))
    assert digest.hexdigest() == files.sha256(path)


@pytest.mark.faults
@pytest.mark.parametrize(
    "content", [b"[]", b"null", b"3", b'"text"', b"[" * 100_000, b"{", b"", b"\xff", b"{}", b'{"images": "3"}']
)
def test_a_json_file_of_another_type_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json: damaged .*; delete it") as caught:
        files.read_object(tmp_path / "a.json", images=int)
    assert "\n" not in str(caught.value)


@pytest.mark.faults
def test_a_folder_in_place_of_a_json_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        files.read_json(tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("text", "content"),
    [("caf\udce9.png", b"caf\xe9.png"), ("café", "café".encode()), ("half \ud800", b"half \\ud800")],
)
def test_text_from_the_file_system_is_written(tmp_path: Path, text: str, content: bytes) -> None:
    files.write_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_bytes() == content
