"""A user's own images in an .npz."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import MakePlan
from tests.data.readers.helpers import pack_source
from tests.data.sample_archives import pixels
from transgan.errors import UserError

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


@pytest.mark.faults
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES, "labels": np.zeros(4, int)}, "its labels must be 5 whole numbers"),
        ({"images": IMAGES, "labels": np.zeros(5)}, "its labels must be 5 whole numbers"),
        ({"images": IMAGES, "labels": np.full(5, 10**12)}, "its labels must be 5 whole numbers"),
        ({"images": IMAGES.astype(float)}, "must be uint8"),
        ({"mu": np.zeros(4), "sigma": np.zeros((4, 4))}, "has no array images or arr_0"),
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
