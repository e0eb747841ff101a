"""Precision and recall: perfect for equal sets, and they tell collapse from noise."""

import pytest

from tests.metrics.features import gaussian
from transgan.errors import UserError
from transgan.metrics.precision_recall import precision_recall
from transgan.schema import ProtocolConfig


def test_precision_and_recall_of_equal_sets_are_one() -> None:
    features = gaussian(300, 8, 0)
    metrics = precision_recall(features, features.clone(), ProtocolConfig())
    assert {name: metric.value for name, metric in metrics.items()} == {"precision": 1.0, "recall": 1.0}


def test_precision_and_recall_tell_collapse_from_noise() -> None:
    real = gaussian(500, 8, 0)
    collapsed = precision_recall(gaussian(500, 8, 1, scale=0.1), real, ProtocolConfig())
    scattered = precision_recall(gaussian(500, 8, 1, scale=10.0), real, ProtocolConfig())
    assert collapsed["precision"].value > 0.95 > 0.2 > collapsed["recall"].value
    assert scattered["precision"].value < 0.05


def test_too_few_images_for_the_neighbourhood_are_refused() -> None:
    with pytest.raises(UserError, match="prc_neighborhood 3 needs more images than the 3 available"):
        precision_recall(gaussian(3, 4, 0), gaussian(60, 4, 1), ProtocolConfig())
