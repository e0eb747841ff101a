"""FID against closed forms, its dependence on the number of samples, and the checks of that number."""

import numpy as np
import pytest
import torch

from tests.metrics.features import exact, gaussian
from transgan.errors import UserError
from transgan.metrics.fid import (
    FeatureStatistics,
    check_sample_counts,
    extrapolate_fid,
    fid_by_count,
    frechet_distance,
)
from transgan.schema import ProtocolConfig


def test_fid_of_two_gaussians_is_the_analytic_one() -> None:
    # |m1 - m2|^2 + sum (s1 - s2)^2 over independent features
    assert frechet_distance(exact(0.0, 1.0, 8), exact(0.5, 2.0, 8)) == pytest.approx(8 * (0.25 + 1.0), rel=1e-9)


def test_fid_of_correlated_gaussians_is_the_analytic_one() -> None:
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    first, second = np.arange(1.0, 6.0), np.arange(5.0, 0.0, -1.0)
    pair = [FeatureStatistics(np.zeros(5), rotation @ np.diag(std**2) @ rotation.T, 0) for std in (first, second)]
    assert frechet_distance(*pair) == pytest.approx(float(((first - second) ** 2).sum()), rel=1e-9)


def test_fid_from_features_converges_to_the_analytic_one() -> None:
    generated, real = gaussian(50000, 4, 0), gaussian(50000, 4, 1, mean=1.0, scale=1.5)
    fid = frechet_distance(FeatureStatistics.of(generated), FeatureStatistics.of(real))
    assert fid == pytest.approx(4 * (1.0 + 0.25), rel=0.02)


def test_fid_of_a_set_and_itself_is_zero() -> None:
    statistics = FeatureStatistics.of(gaussian(500, 64, 0))
    assert abs(frechet_distance(statistics, statistics)) < 1e-3


def test_fid_does_not_depend_on_the_order_of_images() -> None:
    features, reference = gaussian(300, 16, 0), FeatureStatistics.of(gaussian(300, 16, 1))
    shuffled = features[torch.randperm(300, generator=torch.Generator().manual_seed(2))]
    assert frechet_distance(FeatureStatistics.of(features), reference) == pytest.approx(
        frechet_distance(FeatureStatistics.of(shuffled), reference), abs=1e-5
    )


def test_fid_falls_with_the_number_of_samples_and_is_extrapolated_below() -> None:
    reference = exact(0.0, 1.0, 32)
    reference = FeatureStatistics(reference.mu.astype(np.float32), reference.sigma, 0)
    counts = (200, 500, 1000, 4000)
    values = fid_by_count(gaussian(4000, 32, 0), reference, counts)
    assert list(values) == sorted(values, reverse=True)
    assert abs(extrapolate_fid(counts, values)) < values[-1]


def test_extrapolation_is_exact_for_a_line_in_one_over_n() -> None:
    counts = (100, 200, 400)
    assert extrapolate_fid(counts, [3.0 + 50 / count for count in counts]) == pytest.approx(3.0)


def test_statistics_of_different_precision_are_compared_in_double_precision() -> None:
    imported = FeatureStatistics(np.zeros(4), np.eye(4), 0)
    assert np.isfinite(frechet_distance(FeatureStatistics.of(gaussian(100, 4, 0)), imported))


def test_statistics_of_another_layer_are_refused() -> None:
    with pytest.raises(UserError, match="not the same layer"):
        frechet_distance(exact(0.0, 1.0, 8), exact(0.0, 1.0, 9))


def test_fewer_images_than_features_are_refused() -> None:
    protocol = ProtocolConfig(metrics=("fid",), samples=100)
    with pytest.raises(
        UserError, match=r"reference: 100 images are fewer than the 2,048 features.*allow_few_samples.* in params\.yaml"
    ):
        check_sample_counts(protocol, 2048, {"reference": 100})


def test_fewer_images_than_features_give_a_warning_if_the_protocol_allows_them() -> None:
    protocol = ProtocolConfig(metrics=("fid",), samples=100, allow_few_samples=True)
    assert "far too high" in check_sample_counts(protocol, 2048, {"samples": 100})[0]


def test_unknown_counts_and_other_metrics_are_not_refused() -> None:
    assert check_sample_counts(ProtocolConfig(metrics=("fid",)), 2048, {"reference": 0}) == []
    assert check_sample_counts(ProtocolConfig(metrics=("is",)), 2048, {"samples": 10}) == []
