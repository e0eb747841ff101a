"""CIFAR-10: images, labels and order are the publisher's, and pickles are read safely."""

from pathlib import Path

import numpy as np
import pytest

from tests.data import sample_archives
from tests.data.readers.helpers import config, images, write
from tests.data.sample_archives import pixels, python_two_pickle, tar_bytes
from transgan.data.readers.cifar10 import Cifar10Reader
from transgan.errors import UserError


def test_cifar10(tmp_path: Path) -> None:
    path = write(tmp_path, sample_archives.cifar10(per_batch=3))["cifar-10-python.tar.gz"]
    reader = Cifar10Reader(config("cifar10", ["train", "test"]), path)
    assert reader.classes == sample_archives.CIFAR_CLASSES
    assert [entry.split for entry in reader.entries].count("train") == 15
    assert [entry.label for entry in reader.entries if entry.name.startswith("data_batch_2")] == [1, 2, 3]
    by_name = dict(zip([entry.name for entry in reader.entries], images(reader), strict=True))
    np.testing.assert_array_equal(by_name["data_batch_3/00001"], pixels(2001, 32, 32))
    np.testing.assert_array_equal(by_name["test_batch/00002"], pixels(5002, 32, 32))
    for start in (1, 4, 17):
        np.testing.assert_array_equal(images(reader, start), images(reader)[start:])


def test_cifar10_reads_only_the_parts_that_splits_name(tmp_path: Path) -> None:
    path = write(tmp_path, sample_archives.cifar10(per_batch=3))["cifar-10-python.tar.gz"]
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
def test_damaged_and_hostile_batches_are_refused(tmp_path: Path, batch: bytes) -> None:
    path = write(tmp_path, {"cifar.tar.gz": tar_bytes({"cifar-10-batches-py/data_batch_1": batch})})["cifar.tar.gz"]
    with pytest.raises(UserError, match=r"cifar.tar.gz.*data_batch_1"):
        Cifar10Reader(config("cifar10", ["train"]), path)
    assert not Path("evil").exists()
