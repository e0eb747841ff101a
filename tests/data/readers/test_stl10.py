"""STL-10: images, labels and order are the publisher's."""

from pathlib import Path

import numpy as np
import pytest

from tests.data import sample_archives
from tests.data.readers.helpers import config, images, write
from tests.data.sample_archives import pixels, tar_bytes
from transgan.data.readers.stl10 import Stl10Reader
from transgan.errors import UserError


def test_stl10(tmp_path: Path) -> None:
    path = write(tmp_path, sample_archives.stl10())["stl10_binary.tar.gz"]
    reader = Stl10Reader(config("stl10", ["train", "unlabeled"]), path)
    assert reader.classes[7] == "monkey"
    assert [entry.split for entry in reader.entries] == ["train"] * 6 + ["unlabeled"] * 8
    assert [entry.label for entry in reader.entries] == [0, 1, 2, 3, 4, 5] + [-1] * 8
    np.testing.assert_array_equal(
        images(reader), [pixels(5000 + i, 96, 96) for i in range(6)] + [pixels(9000 + i, 96, 96) for i in range(8)]
    )
    for start in (2, 6, 9):
        np.testing.assert_array_equal(images(reader, start), images(reader)[start:])


def test_stl10_with_a_missing_label_or_file(tmp_path: Path) -> None:
    members = {"s/train_X.bin": bytes(2 * 27648), "s/train_y.bin": b"\x01", "s/class_names.txt": b"a"}
    with pytest.raises(UserError, match="same number"):
        Stl10Reader(config("stl10", ["train"]), write(tmp_path, {"stl.tar.gz": tar_bytes(members)})["stl.tar.gz"])
    with pytest.raises(UserError, match=r"has no class_names\.txt"):
        Stl10Reader(
            config("stl10", ["train"]), write(tmp_path, {"stl.tar.gz": tar_bytes({"s/train_X.bin": b""})})["stl.tar.gz"]
        )
