"""KID: unbiased around zero for equal distributions, large for different ones."""

import numpy as np
import pytest

from tests.metrics.features import gaussian
from transgan.errors import UserError
from transgan.metrics.kid import kernel_inception_distance
from transgan.schema import ProtocolConfig


def test_kid_of_equal_distributions_is_unbiased_around_zero() -> None:
    protocol = ProtocolConfig(metrics=("kid",), samples=2000, kid_subsets=50, kid_subset_size=200)
    values = [
        kernel_inception_distance(gaussian(2000, 8, 2 * i), gaussian(2000, 8, 2 * i + 1), protocol).value
        for i in range(10)
    ]
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0 < max(values)


def test_kid_of_shifted_distributions_is_well_above_zero() -> None:
    protocol = ProtocolConfig(metrics=("kid",), samples=500, kid_subsets=10, kid_subset_size=200)
    assert kernel_inception_distance(gaussian(500, 8, 0), gaussian(500, 8, 1, mean=1.0), protocol).value > 0.5


def test_a_subset_larger_than_the_sets_is_refused() -> None:
    with pytest.raises(UserError, match="kid_subset_size 1,000 is more than the 50 images"):
        kernel_inception_distance(gaussian(50, 4, 0), gaussian(60, 4, 1), ProtocolConfig())
