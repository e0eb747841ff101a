"""Every published format: pictures, labels and order are the publisher's."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data import serve
from tests.data.serve import encode, pixels, python_two_pickle, tar_bytes, zip_bytes
from transgan.data.archives.byte_ranges import ByteRange, ByteRangeReader
from transgan.data.readers import Reader, digits
from transgan.data.readers.celeba import CelebaReader, landmark_box
from transgan.data.readers.celebahq import CelebaHqReader
from transgan.data.readers.cifar10 import Cifar10Reader
from transgan.data.readers.digits import DigitsReader, stratified_order
from transgan.data.readers.lsun import LsunReader
from transgan.data.readers.stl10 import Stl10Reader
from transgan.data.transforms import CropAndResize
from transgan.errors import UserError
from transgan.schema import DatasetConfig


def config(source: str, splits: list[str], **options: object) -> DatasetConfig:
    names = [{"name": name} for name in splits]
    return DatasetConfig.model_validate(
        {"source": source, "resolution": 8, "splits": names, "train_splits": splits[:1], **options}
    )


def write(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


def images(reader: Reader, start: int = 0) -> list[np.ndarray]:
    return [np.asarray(content) for content in reader.contents(start)]


def encoded(reader: Reader, start: int = 0) -> list[Any]:
    with ByteRangeReader() as pieces:
        return [
            pieces.read(content) if isinstance(content, ByteRange) else content for content in reader.contents(start)
        ]


def test_cifar10(tmp_path: Path) -> None:
    path = write(tmp_path, serve.cifar10(per_batch=3))["cifar-10-python.tar.gz"]
    reader = Cifar10Reader(config("cifar10", ["train", "test"]), path)
    assert reader.classes == serve.CIFAR_CLASSES
    assert [entry.split for entry in reader.entries].count("train") == 15
    assert [entry.label for entry in reader.entries if entry.name.startswith("data_batch_2")] == [1, 2, 3]
    found = dict(zip([entry.name for entry in reader.entries], images(reader), strict=True))
    np.testing.assert_array_equal(found["data_batch_3/00001"], pixels(2001, 32, 32))
    np.testing.assert_array_equal(found["test_batch/00002"], pixels(5002, 32, 32))
    for start in (1, 4, 17):
        np.testing.assert_array_equal(images(reader, start), images(reader)[start:])


def test_cifar10_reads_only_the_parts_that_splits_name(tmp_path: Path) -> None:
    path = write(tmp_path, serve.cifar10(per_batch=3))["cifar-10-python.tar.gz"]
    assert len(Cifar10Reader(config("cifar10", ["test"]), path).entries) == 3
    with pytest.raises(UserError, match="has no part 'valid', it has: train, test"):
        Cifar10Reader(config("cifar10", ["valid"]), path)


ROWS = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    "batch",
    [
        b"not a pickle",
        python_two_pickle([1, 2]),
        python_two_pickle({b"data": ROWS}),
        python_two_pickle({b"data": ROWS, b"labels": [1]}),
        python_two_pickle({b"data": ROWS, b"labels": [1, 999]}),
        python_two_pickle({b"data": ROWS[:, :100], b"labels": [1, 2]}),
        python_two_pickle({b"data": ROWS, b"labels": [1, 2]})[:-3000],
        b"cos\nsystem\n(S'touch evil'\ntR.",
    ],
)
def test_damaged_and_evil_cifar_batches(tmp_path: Path, batch: bytes) -> None:
    path = write(tmp_path, {"cifar.tar.gz": tar_bytes({"cifar-10-batches-py/data_batch_1": batch})})["cifar.tar.gz"]
    with pytest.raises(UserError, match=r"cifar.tar.gz.*data_batch_1"):
        Cifar10Reader(config("cifar10", ["train"]), path)
    assert not Path("evil").exists()


def test_stl10(tmp_path: Path) -> None:
    path = write(tmp_path, serve.stl10())["stl10_binary.tar.gz"]
    reader = Stl10Reader(config("stl10", ["train", "unlabeled"]), path)
    assert reader.classes[7] == "monkey"
    assert [entry.split for entry in reader.entries] == ["train"] * 6 + ["unlabeled"] * 8
    assert [entry.label for entry in reader.entries] == [0, 1, 2, 3, 4, 5] + [-1] * 8
    np.testing.assert_array_equal(
        images(reader), [pixels(5000 + i, 96, 96) for i in range(6)] + [pixels(9000 + i, 96, 96) for i in range(8)]
    )
    for start in (2, 6, 9):
        np.testing.assert_array_equal(images(reader, start), images(reader)[start:])


def test_stl10_with_a_label_too_few(tmp_path: Path) -> None:
    members = {"s/train_X.bin": bytes(2 * 27648), "s/train_y.bin": b"\x01", "s/class_names.txt": b"a"}
    with pytest.raises(UserError, match="same number"):
        Stl10Reader(config("stl10", ["train"]), write(tmp_path, {"stl.tar.gz": tar_bytes(members)})["stl.tar.gz"])
    with pytest.raises(UserError, match=r"has no class_names\.txt"):
        Stl10Reader(
            config("stl10", ["train"]), write(tmp_path, {"stl.tar.gz": tar_bytes({"s/train_X.bin": b""})})["stl.tar.gz"]
        )


def test_celeba(tmp_path: Path) -> None:
    paths = write(tmp_path, serve.celeba(9))
    reader = CelebaReader(config("celeba", ["train", "valid", "test"]), paths)
    assert [entry.split for entry in reader.entries] == ["train"] * 3 + ["valid"] * 3 + ["test"] * 3
    assert [entry.name for entry in reader.entries][:2] == ["000001.jpg", "000002.jpg"]
    assert encoded(reader, 4)[0] == encode(pixels(4, 218, 178))
    only = CelebaReader(config("celeba", ["valid"]), paths)
    assert encoded(only) == encoded(reader, 3)[:3]


def test_celeba_crop_around_landmarks(tmp_path: Path) -> None:
    paths = write(tmp_path, serve.celeba(4))
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


def test_landmark_crops_stay_inside_the_picture() -> None:
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
    paths = write(tmp_path, serve.celeba() | {name: content})
    with pytest.raises(UserError, match=message):
        CelebaReader(config("celeba", ["train"], crop="landmarks"), paths)


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


def test_celebahq_inside_celebamask_hq_leaves_the_masks(tmp_path: Path) -> None:
    path = write(tmp_path, serve.celebahq(3, 32))["celebahq.zip"]
    reader = CelebaHqReader(config("celebahq", ["train"]), path)
    assert [entry.name for entry in reader.entries] == [f"CelebAMask-HQ/CelebA-HQ-img/{i}.jpg" for i in range(3)]
    assert encoded(reader, 1) == [encode(pixels(i, 32, 32)) for i in (1, 2)]


@pytest.mark.parametrize("packed", [True, False])
def test_lsun(tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transgan.data.readers.lsun.REOPEN_BYTES", 20_000)  # several times
    path = write(tmp_path, serve.lsun(tmp_path / "made", 7))["church_outdoor_train_lmdb.zip"]
    reader = LsunReader(
        config("lsun", ["train"]),
        path if packed else tmp_path / "made" / "church_outdoor_train_lmdb",
        tmp_path / "scratch",
    )
    names = [entry.name for entry in reader.entries]
    assert names == sorted(names)
    assert len(names) == 7
    assert set(reader.contents(0)) == {encode(pixels(i, 256, 341 + i), "WEBP") for i in range(7)}
    assert list(reader.contents(5)) == list(reader.contents(0))[5:]


def test_lsun_damaged(tmp_path: Path) -> None:
    files = {
        "empty.zip": zip_bytes({"church_outdoor_train_lmdb/lock.mdb": b""}),
        "broken.zip": zip_bytes({"church_outdoor_train_lmdb/data.mdb": b"nothing of lmdb" * 1000}),
        "cut.zip": serve.lsun(tmp_path / "made")["church_outdoor_train_lmdb.zip"][:-100],
    }
    for number, (name, message) in enumerate(
        (("empty.zip", "has no data.mdb"), ("broken.zip", "damaged database"), ("cut.zip", "damaged or truncated"))
    ):
        with pytest.raises(UserError, match=message):
            LsunReader(config("lsun", ["train"]), write(tmp_path, files)[name], tmp_path / f"scratch{number}")


def test_digits_are_scaled_labelled_and_evenly_split() -> None:
    splits = [{"name": "train", "count": 1437}, {"name": "test", "count": 360}]
    reader = DigitsReader(DatasetConfig.model_validate({"source": "digits", "resolution": 8, "splits": splits}))
    arrays = np.stack(images(reader))
    assert arrays.shape == (1797, 8, 8, 3)
    assert (arrays.min(), arrays.max()) == (0, 255)
    assert (arrays == arrays[..., :1]).all()
    for split, count in (("train", 1437), ("test", 360)):
        labels = np.array([entry.label for entry in reader.entries if entry.split == split])
        assert len(labels) == count
        np.testing.assert_allclose(np.bincount(labels) / count, 0.1, atol=0.006)


@pytest.mark.slow
def test_digits_are_those_of_load_digits() -> None:
    from sklearn.datasets import load_digits

    bunch, (images, labels) = load_digits(), digits._load()
    np.testing.assert_array_equal(images, bunch.images)
    np.testing.assert_array_equal(labels, bunch.target)


def test_digits_are_not_taken_twice() -> None:
    reader = DigitsReader(
        DatasetConfig.model_validate({"source": "digits", "resolution": 8, "splits": [{"name": "train"}]})
    )
    assert sorted(reader._rows) == list(range(1797))
    with pytest.raises(UserError, match="there are 1,797"):
        DigitsReader(
            DatasetConfig.model_validate(
                {"source": "digits", "resolution": 8, "splits": [{"name": "train", "count": 1798}]}
            )
        )


def test_every_range_of_the_stratified_order_has_even_classes() -> None:
    labels = np.repeat(np.arange(4), [400, 100, 100, 200])
    order = stratified_order(labels)
    assert sorted(order) == list(range(800))
    for start in range(0, 800, 80):
        np.testing.assert_allclose(
            np.bincount(labels[order[start : start + 80]], minlength=4), [40, 10, 10, 20], atol=1.01
        )
    np.testing.assert_array_equal(order, stratified_order(labels))
