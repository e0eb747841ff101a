"""The Inception score against its known extremes."""

import pytest
import torch

from tests.metrics.features import gaussian
from transgan.metrics.inception_score import inception_score


def test_a_uniform_classifier_gives_one() -> None:
    assert inception_score(torch.zeros(1000, 10), 10).value == pytest.approx(1.0)


def test_a_certain_classifier_gives_the_number_of_classes() -> None:
    score = inception_score(torch.eye(10).repeat(400, 1) * 1000, 1)
    assert score.value == pytest.approx(10.0)
    assert score.spread == 0.0


def test_images_of_one_class_give_one() -> None:
    assert inception_score(torch.eye(10)[:1].repeat(500, 1) * 100, 5).value == pytest.approx(1.0)


def test_the_spread_is_over_splits() -> None:
    logits = gaussian(400, 10, 0, scale=3.0)
    assert inception_score(logits, 1).spread == 0.0
    spread = inception_score(logits, 5).spread
    assert spread is not None
    assert spread > 0.0
