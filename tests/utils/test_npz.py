"""NumPy archives: reproducible bytes, nothing unpickled, one line for damaged files."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import with_flipped_bit
from transgan.errors import UserError
from transgan.utils.npz import read_npz, write_npz


def test_the_same_arrays_give_the_same_bytes_and_come_back(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.array("text")}
    for name in ("first.npz", "second.npz"):
        write_npz(tmp_path / name, arrays)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    read = read_npz(tmp_path / "first.npz")
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["a"], arrays["a"])


def test_python_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"it holds Python objects"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 truncated"])
def test_a_damaged_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz: damaged, or not an \.npz archive") as caught:
        read_npz(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match="a single array"):
        read_npz(tmp_path / "a.npz")


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.npz: no such file"):
        read_npz(tmp_path / "missing.npz")


def npy(shape: tuple[int, ...], descr: str = "|u1", content: bytes = b"") -> bytes:
    """A .npy file whose header claims `shape`, with other content."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


@pytest.mark.faults
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    "member",
    [
        npy((10**12,)),
        npy((10**6, 10**6, 3), "<f8", bytes(64)),
        npy((2**63, 4)),
        npy((3,), content=b"1234"),
        npy((3,), "<U1000000"),
        npy((-1,)),
    ],
)
def test_a_header_that_claims_what_is_not_there_takes_no_memory(
    tmp_path: Path, member: bytes, compression: int
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("images.npy", member)
    with pytest.raises(UserError, match=r"a\.npz: damaged, or not an \.npz archive"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.faults
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_flipped_bit_gives_other_numbers(tmp_path: Path, save: object) -> None:
    path, array = tmp_path / "a.npz", np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8)
    save(path, array)  # type: ignore[operator]
    whole = path.read_bytes()
    damaged = 0
    for content in with_flipped_bit(whole, 60):
        path.write_bytes(content)
        try:
            read = read_npz(path).get("arr_0")
        except UserError:
            damaged += 1
        else:
            assert read is None or np.array_equal(read, array)
    assert damaged > 40


def test_some_arrays_of_an_archive_are_read_without_the_others(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", {"a": np.arange(3), "b": np.arange(4)})
    assert list(read_npz(tmp_path / "a.npz", "b", "c")) == ["b"]
