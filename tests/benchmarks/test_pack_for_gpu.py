"""The folder that travels to a machine with a GPU: what is in it, and its size."""

import json
import lzma
import sys
import tarfile
from pathlib import Path

import pack_for_gpu
import pytest

from tests.benchmarks.fixtures import images_tar, wheel


def pack(folder: Path, *more: str) -> Path:
    """The packed folder of a few images, a weights file and a wheel."""
    weights = folder / "weights.pth"
    weights.write_bytes(b"weights" * 1000)
    (folder / "wheels").mkdir(exist_ok=True)
    wheel(folder / "wheels")
    command = ["pack_for_gpu.py", "--images", str(images_tar(folder / "images.tar")), "--inception", str(weights)]
    command += ["--wheels", str(folder / "wheels"), "--out", str(folder / "packed"), *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        try:
            pack_for_gpu.main()
        except SystemExit as ended:
            if ended.code is not None:
                raise
    return folder / "packed"


def test_only_training_images_travel_and_stay_as_they_are(tmp_path: Path) -> None:
    packed = pack(tmp_path)
    with tarfile.open(tmp_path / "images.tar") as original, tarfile.open(packed / "images.tar.xz") as travelled:
        names = travelled.getnames()
        assert names == sorted(name for name in original.getnames() if name.startswith("train/"))
        for name in names:
            assert travelled.extractfile(name).read() == original.extractfile(name).read()
    assert json.loads((packed / "packed.json").read_text())["images"] == len(names) > 0


def test_weights_and_wheels_travel_with_the_commit(tmp_path: Path) -> None:
    packed = pack(tmp_path)
    unpacked = lzma.decompress((packed / "inception-768.pth.xz").read_bytes())
    assert unpacked == (tmp_path / "weights.pth").read_bytes()
    assert len(list(packed.glob("*.whl"))) == 1
    assert len(json.loads((packed / "packed.json").read_text())["commit"]) == 40


def test_the_size_is_printed_and_limited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack(tmp_path)
    printed = capsys.readouterr().out
    assert "MiB  images.tar.xz" in printed
    assert float(printed.splitlines()[-1].split()[0]) > 10  # the working tree counts
    with pytest.raises(SystemExit, match=r"MiB exceed 10 MiB; take tests/models/fixtures and docs/images out"):
        pack(tmp_path, "--limit", "10")


def test_a_tar_without_training_images_is_refused(tmp_path: Path) -> None:
    images_tar(tmp_path / "other.tar", splits=("test",))
    with pytest.raises(SystemExit, match=r"other.tar: has no images named train/<class>/<name>.jpg"):
        pack(tmp_path, "--images", str(tmp_path / "other.tar"))


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("no tar")
    with pytest.raises(SystemExit, match=r"text.tar: not a tar of images"):
        pack(tmp_path, "--images", str(tmp_path / "text.tar"))
    with pytest.raises(SystemExit, match=r"none.tar: no such file"):
        pack(tmp_path, "--images", str(tmp_path / "none.tar"))
