"""CelebA: images, splits and crops around landmarks."""

from pathlib import Path

import pytest
from PIL import Image

from tests.data import sample_archives
from tests.data.readers.helpers import config, encoded, write
from tests.data.sample_archives import encode, pixels
from transgan.data.readers.celeba import CelebaReader, landmark_box
from transgan.data.transforms import CropAndResize
from transgan.errors import UserError


def test_celeba(tmp_path: Path) -> None:
    paths = write(tmp_path, sample_archives.celeba(9))
    reader = CelebaReader(config("celeba", ["train", "valid", "test"]), paths)
    assert [entry.split for entry in reader.entries] == ["train"] * 3 + ["valid"] * 3 + ["test"] * 3
    assert [entry.name for entry in reader.entries][:2] == ["000001.jpg", "000002.jpg"]
    assert encoded(reader, 4)[0] == encode(pixels(4, 218, 178))
    only = CelebaReader(config("celeba", ["valid"]), paths)
    assert encoded(only) == encoded(reader, 3)[:3]


def test_celeba_crop_around_landmarks(tmp_path: Path) -> None:
    paths = write(tmp_path, sample_archives.celeba(4))
    reader = CelebaReader(config("celeba", ["train"], crop="landmarks"), paths)
    boxes = [entry.box for entry in reader.entries]
    assert boxes[0] == landmark_box([69, 111, 108, 111, 86, 136, 73, 152, 105, 152])
    assert boxes[0] is not None
    left, upper, right, lower = boxes[0]
    assert right - left == lower - upper == 148  # 3.6 times 41
    assert abs((left + right) / 2 - 88.2) <= 1
    assert abs((upper + lower) / 2 - 132.4) <= 1
    content = encoded(reader)[0]
    image = Image.fromarray(CropAndResize(178, "box", "none")(content))
    assert image.size == (178, 178)


def test_landmark_crops_stay_inside_the_image() -> None:
    for points in ([0, 0, 10, 0, 5, 100, 0, 200, 10, 200], [170, 200, 177, 200, 175, 205, 170, 217, 177, 217]):
        left, upper, right, lower = landmark_box(points)
        assert 0 <= left < right <= 178
        assert 0 <= upper < lower <= 218
        assert right - left == lower - upper


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list_eval_partition.txt", b"000001.jpg 0\n", "is not in"),
        ("list_eval_partition.txt", b"000001.jpg nine\n", "0, 1 or 2"),
        ("list_eval_partition.txt", b"000001.jpg 7\n", "0, 1 or 2"),
        ("list_eval_partition.txt", b"\xff\xfe\x00", "as text"),
        ("list_landmarks_align_celeba.txt", b"6\ncolumns\n000001.jpg 1 2 3\n", "ten numbers"),
        ("list_landmarks_align_celeba.txt", b"6\ncolumns\n", "no landmarks of 000001.jpg"),
    ],
)
def test_celeba_with_damaged_lists(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    paths = write(tmp_path, sample_archives.celeba() | {name: content})
    with pytest.raises(UserError, match=message):
        CelebaReader(config("celeba", ["train"], crop="landmarks"), paths)
