"""CelebA-HQ: every edition that a user may place."""

import io
from pathlib import Path

import numpy as np
import pytest

from tests.data import sample_archives
from tests.data.readers.helpers import config, encoded, write
from tests.data.sample_archives import encode, pixels, tar_bytes, zip_bytes
from transgan.data.readers.celebahq import CelebaHqReader
from transgan.data.transforms import CropAndResize


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_celebahq_as_npy_files(tmp_path: Path, kind: str) -> None:
    files = {}
    for i in range(3):
        buffer = io.BytesIO()
        np.save(buffer, pixels(i, 16, 16).transpose(2, 0, 1)[None])
        files[f"imgHQ{i:05d}.npy"] = buffer.getvalue()
    files["README.txt"] = b"how these were made"
    path = tmp_path / f"celebahq.{kind}"
    if kind == "folder":
        path.mkdir()
        write(path, files)
    else:
        path.write_bytes(zip_bytes(files) if kind == "zip" else tar_bytes(files, "w"))
    reader = CelebaHqReader(config("celebahq", ["train"]), path)
    shaped = [CropAndResize(16, "box", "none")(content) for content in encoded(reader)]
    np.testing.assert_array_equal(shaped, [pixels(i, 16, 16) for i in range(3)])


def test_celebahq_inside_celebamask_hq_skips_the_masks(tmp_path: Path) -> None:
    path = write(tmp_path, sample_archives.celebahq(3, 32))["celebahq.zip"]
    reader = CelebaHqReader(config("celebahq", ["train"]), path)
    assert [entry.name for entry in reader.entries] == [f"CelebAMask-HQ/CelebA-HQ-img/{i}.jpg" for i in range(3)]
    assert encoded(reader, 1) == [encode(pixels(i, 32, 32)) for i in (1, 2)]
