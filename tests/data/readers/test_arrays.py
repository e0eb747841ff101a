"""A user's own images in an .npz or an .npy: names, layouts and labels."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import MakePlan
from tests.data.readers.helpers import pack_source
from tests.data.sample_archives import pixels
from transgan.data.readers.arrays import ArrayReader
from transgan.errors import UserError
from transgan.metrics import image_sources
from transgan.schema import DatasetConfig

IMAGES = np.stack([pixels(i, 12, 12) for i in range(5)])


def test_images_and_labels_of_a_batch_of_samples(make_plan: MakePlan, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", IMAGES, np.array([2, 0, 1, 1, 0]))
    packed = pack_source(make_plan, tmp_path / "samples.npz")
    np.testing.assert_array_equal(packed.images, IMAGES)
    assert packed.labels.tolist() == [2, 0, 1, 1, 0]
    assert packed.manifest["classes"] == ["0", "1", "2"]


def test_images_without_labels(make_plan: MakePlan, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", images=IMAGES)
    packed = pack_source(make_plan, tmp_path / "samples.npz")
    assert packed.labels.tolist() == [-1] * 5
    assert packed.manifest["classes"] == []


LABELS = np.array([2, 0, 1, 1, 0])
GREY = IMAGES[..., 0]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("x", "y"),
        ("X", "Y"),
        ("data", "labels"),
        ("image", "label"),
        ("train_images", "train_labels"),
        ("x_train", "y_train"),
        ("X_train", "y_train"),
        ("imgs", "targets"),
        ("whatever", "y"),
    ],
)
@pytest.mark.parametrize("file", ["mine.npz", "MINE.NPZ"])
def test_images_and_labels_under_usual_names(
    make_plan: MakePlan, tmp_path: Path, images: str, labels: str, file: str
) -> None:
    with (tmp_path / file).open("wb") as target:
        np.savez(target, **{images: IMAGES, labels: LABELS, "notes": np.zeros(3)})  # type: ignore[arg-type]
    packed = pack_source(make_plan, tmp_path / file)
    np.testing.assert_array_equal(packed.images, IMAGES)
    assert packed.labels.tolist() == ([-1] * 5 if images == "whatever" else LABELS.tolist())
    source = image_sources.from_path(tmp_path / file, None, None, "none")
    np.testing.assert_array_equal(next(source.batches(5)).permute(0, 2, 3, 1).numpy(), IMAGES)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (IMAGES.transpose(0, 3, 1, 2), IMAGES),
        (np.asfortranarray(IMAGES), IMAGES),
        (GREY, np.stack([GREY] * 3, -1)),
        (GREY[..., None], np.stack([GREY] * 3, -1)),
        (GREY[:, None], np.stack([GREY] * 3, -1)),
    ],
)
@pytest.mark.parametrize("file", ["mine.npz", "mine.npy", "MINE.NPY"])
def test_layouts_of_images(
    make_plan: MakePlan, tmp_path: Path, images: np.ndarray, expected: np.ndarray, file: str
) -> None:
    with (tmp_path / file).open("wb") as target:
        np.savez(target, images=images) if file.endswith("npz") else np.save(target, images)
    np.testing.assert_array_equal(pack_source(make_plan, tmp_path / file).images, expected)
    source = image_sources.from_path(tmp_path / file, None, None, "none")
    np.testing.assert_array_equal(next(source.batches(5)).permute(0, 2, 3, 1).numpy(), expected)


@pytest.mark.parametrize("labels", [LABELS[:, None], np.eye(3)[LABELS], np.eye(3, dtype=bool)[LABELS]])
def test_labels_as_a_column_or_one_hot(make_plan: MakePlan, tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "mine.npz", x=IMAGES, y=labels)
    assert pack_source(make_plan, tmp_path / "mine.npz").labels.tolist() == LABELS.tolist()


BOTH = [{"name": "train"}, {"name": "test"}]
PARTS = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES[:2], "test_labels": LABELS[:2]}


def test_arrays_of_splits(make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "mine.npz", **PARTS)
    packed = pack_source(make_plan, tmp_path / "mine.npz", BOTH)
    assert packed.manifest["splits"] == {"train": [0, 5], "test": [5, 7]}
    np.testing.assert_array_equal(packed.images, np.concatenate([IMAGES, IMAGES[:2]]))
    assert packed.labels.tolist() == [2, 0, 1, 1, 0, 2, 0]
    packed = pack_source(make_plan, tmp_path / "mine.npz")
    assert packed.manifest["count"] == 5
    assert (
        "images in train_images, labels in train_labels; left out test_images, test_labels" in capsys.readouterr().err
    )
    with pytest.raises(UserError, match=r"several arrays may be the images \(test_images, train_images\)"):
        image_sources.from_path(tmp_path / "mine.npz", None, None, "none")


def test_reading_resumes_in_any_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **PARTS)
    config = DatasetConfig.model_validate(
        {"source": "folder", "path": "mine.npz", "resolution": 12, "splits": BOTH, "train_splits": ["train"]}
    )
    everything = np.concatenate([IMAGES, IMAGES[:2]])
    for start in range(8):
        read = list(ArrayReader(config, tmp_path / "mine.npz").contents(start))
        assert len(read) == 7 - start
        assert all((a == b).all() for a, b in zip(read, everything[start:], strict=True))


@pytest.mark.faults
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"<html>"])
def test_a_damaged_npy_is_one_line(make_plan: MakePlan, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"damaged, or not an \.npy file"):
        pack_source(make_plan, tmp_path / "mine.npy")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES, "labels": np.zeros(4, int)}, "its labels must be 5 whole numbers"),
        ({"images": IMAGES, "labels": np.zeros(5)}, "its labels must be 5 whole numbers"),
        ({"images": IMAGES, "labels": np.full(5, 10**12)}, "its labels must be 5 whole numbers"),
        ({"images": IMAGES.astype(float)}, "must be uint8"),
        ({"mu": np.zeros(4), "sigma": np.zeros((4, 4))}, "has no array of images"),
    ],
)
def test_other_arrays_are_one_line(
    make_plan: MakePlan, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "samples.npz", **arrays)
    with pytest.raises(UserError, match=message):
        pack_source(make_plan, tmp_path / "samples.npz")


def test_splits_and_missing_files_are_one_line(make_plan: MakePlan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there"):
        pack_source(make_plan, tmp_path / "gone.npz")
    np.savez(tmp_path / "samples.npz", IMAGES)
    with pytest.raises(UserError, match="has no splits"):
        pack_source(make_plan, tmp_path / "samples.npz", [{"name": "train"}, {"name": "test"}])
