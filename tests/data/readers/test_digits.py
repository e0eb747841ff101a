"""scikit-learn's digits: values, labels and the stratified split."""

import numpy as np
import pytest

from tests.data.readers.helpers import images
from transgan.data.readers import digits
from transgan.data.readers.digits import DigitsReader, stratified_order
from transgan.errors import UserError
from transgan.schema import DatasetConfig


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
def test_digits_match_load_digits() -> None:
    from sklearn.datasets import load_digits

    bunch, (images, labels) = load_digits(), digits._load()
    np.testing.assert_array_equal(images, bunch.images)
    np.testing.assert_array_equal(labels, bunch.target)


def test_no_digit_is_used_twice() -> None:
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
