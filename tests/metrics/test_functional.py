"""Metrics against closed forms, and against torch-fidelity called by hand."""

import numpy as np
import pytest
import torch

from transgan.errors import UserError
from transgan.metrics import functional
from transgan.metrics.functional import Statistics
from transgan.schema import ProtocolConfig
from transgan.scoring import reference


def gaussian(count: int, width: int, seed: int, mean: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * scale + mean


def exact(mean: float, scale: float, width: int) -> Statistics:
    return Statistics(np.full(width, mean), np.eye(width) * scale**2, 0)


def test_fid_of_two_gaussians_is_the_analytic_one() -> None:
    # |m1 - m2|^2 + sum (s1 - s2)^2 over independent features
    assert functional.frechet(exact(0.0, 1.0, 8), exact(0.5, 2.0, 8)) == pytest.approx(8 * (0.25 + 1.0), rel=1e-9)


def test_fid_of_correlated_gaussians_is_the_analytic_one() -> None:
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    first, second = np.arange(1.0, 6.0), np.arange(5.0, 0.0, -1.0)
    pair = [Statistics(np.zeros(5), rotation @ np.diag(values**2) @ rotation.T, 0) for values in (first, second)]
    assert functional.frechet(*pair) == pytest.approx(float(((first - second) ** 2).sum()), rel=1e-9)


def test_fid_from_features_converges_to_the_analytic_one() -> None:
    found = functional.frechet(
        Statistics.of(gaussian(50000, 4, 0)), Statistics.of(gaussian(50000, 4, 1, mean=1.0, scale=1.5))
    )
    assert found == pytest.approx(4 * (1.0 + 0.25), rel=0.02)


def test_fid_of_a_set_against_itself_is_nothing() -> None:
    statistics = Statistics.of(gaussian(500, 64, 0))
    assert abs(functional.frechet(statistics, statistics)) < 1e-3


def test_fid_does_not_depend_on_the_order_of_pictures() -> None:
    features, reference = gaussian(300, 16, 0), Statistics.of(gaussian(300, 16, 1))
    shuffled = features[torch.randperm(300, generator=torch.Generator().manual_seed(2))]
    assert functional.frechet(Statistics.of(features), reference) == pytest.approx(
        functional.frechet(Statistics.of(shuffled), reference), abs=1e-5
    )


def test_fid_falls_with_the_number_of_samples_and_extrapolates_below() -> None:
    reference = exact(0.0, 1.0, 32)
    reference = Statistics(reference.mu.astype(np.float32), reference.sigma, 0)
    counts = (200, 500, 1000, 4000)
    values = functional.by_count(gaussian(4000, 32, 0), reference, counts)
    assert list(values) == sorted(values, reverse=True)
    assert abs(functional.extrapolate(counts, values)) < values[-1]


def test_extrapolation_is_exact_for_a_line_in_one_over_n() -> None:
    counts = (100, 200, 400)
    assert functional.extrapolate(counts, [3.0 + 50 / count for count in counts]) == pytest.approx(3.0)


def test_statistics_of_other_precision_are_compared_in_double() -> None:
    features = gaussian(100, 4, 0)
    imported = Statistics(np.zeros(4), np.eye(4), 0)
    assert np.isfinite(functional.frechet(Statistics.of(features), imported))


def test_statistics_of_another_layer_are_refused() -> None:
    with pytest.raises(UserError, match="not the same layer"):
        functional.frechet(exact(0.0, 1.0, 8), exact(0.0, 1.0, 9))


def test_inception_score_of_a_uniform_classifier_is_one() -> None:
    assert functional.inception_score(torch.zeros(1000, 10), 10).value == pytest.approx(1.0)


def test_inception_score_of_a_certain_classifier_is_the_number_of_classes() -> None:
    logits = torch.eye(10).repeat(400, 1) * 1000
    measured = functional.inception_score(logits, 1)
    assert measured.value == pytest.approx(10.0)
    assert measured.spread == 0.0


def test_inception_score_of_one_class_is_one() -> None:
    assert functional.inception_score(torch.eye(10)[:1].repeat(500, 1) * 100, 5).value == pytest.approx(1.0)


def test_kid_of_equal_distributions_is_unbiased_around_zero() -> None:
    protocol = ProtocolConfig(metrics=("kid",), samples=2000, kid_subsets=50, kid_subset_size=200)
    found = [
        functional.kernel_distance(gaussian(2000, 8, 2 * i), gaussian(2000, 8, 2 * i + 1), protocol).value
        for i in range(10)
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    assert min(found) < 0 < max(found)


def test_kid_of_shifted_distributions_is_well_above_zero() -> None:
    protocol = ProtocolConfig(metrics=("kid",), samples=500, kid_subsets=10, kid_subset_size=200)
    assert functional.kernel_distance(gaussian(500, 8, 0), gaussian(500, 8, 1, mean=1.0), protocol).value > 0.5


def test_precision_and_recall_of_equal_sets_are_one() -> None:
    features = gaussian(300, 8, 0)
    found = functional.precision_recall(features, features.clone(), ProtocolConfig())
    assert {name: measured.value for name, measured in found.items()} == {"precision": 1.0, "recall": 1.0}


def test_precision_and_recall_tell_collapse_from_noise() -> None:
    real = gaussian(500, 8, 0)
    collapsed = functional.precision_recall(gaussian(500, 8, 1, scale=0.1), real, ProtocolConfig())
    scattered = functional.precision_recall(gaussian(500, 8, 1, scale=10.0), real, ProtocolConfig())
    assert collapsed["precision"].value > 0.95 > 0.2 > collapsed["recall"].value
    assert scattered["precision"].value < 0.05


def test_every_metric_equals_torch_fidelity_called_by_hand() -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    generated, real, logits = gaussian(400, 16, 0, mean=0.3), gaussian(500, 16, 1), gaussian(400, 10, 2, scale=3.0)
    protocol = ProtocolConfig(
        metrics=("is", "fid", "kid", "prc"), samples=400, kid_subsets=10, kid_subset_size=100, feature_layer="features"
    )
    found = functional.measure(
        protocol, protocol.metrics, {"features": generated, "logits": logits}, "logits", Statistics.of(real), real
    )
    fid = fid_statistics_to_metric(fid_features_to_statistics(generated), fid_features_to_statistics(real), False)
    isc = isc_features_to_metric(logits, 10)
    kid = kid_features_to_metric(generated, real, kid_subsets=10, kid_subset_size=100, verbose=False)
    prc = prc_features_to_metric(generated, real, verbose=False)
    assert found["fid"].value == pytest.approx(fid["frechet_inception_distance"], abs=1e-6)
    assert (found["is"].value, found["is"].spread) == pytest.approx(
        (isc["inception_score_mean"], isc["inception_score_std"]), abs=1e-6
    )
    assert (found["kid"].value, found["kid"].spread) == pytest.approx(tuple(kid.values()), abs=1e-6)
    assert (found["precision"].value, found["recall"].value) == pytest.approx(
        (prc["precision"], prc["recall"]), abs=1e-6
    )


def test_fewer_pictures_than_features_are_refused_by_name() -> None:
    protocol = ProtocolConfig(samples=100)
    with pytest.raises(
        UserError, match=r"reference: 100 pictures are fewer than the 2,048 features.*allow_few_samples"
    ):
        functional.check_counts(protocol, ["fid"], 2048, {"reference": 100})


def test_fewer_pictures_than_features_are_warned_about_where_allowed() -> None:
    protocol = ProtocolConfig(samples=100, allow_few_samples=True)
    assert "far too high" in functional.check_counts(protocol, ["fid"], 2048, {"samples": 100})[0]


def test_unknown_counts_and_other_metrics_are_not_refused() -> None:
    assert functional.check_counts(ProtocolConfig(), ["fid"], 2048, {"reference": 0}) == []
    assert functional.check_counts(ProtocolConfig(), ["is"], 2048, {"samples": 10}) == []


def test_a_score_that_is_not_finite_fails() -> None:
    protocol = ProtocolConfig(metrics=("fid",), feature_layer="features")
    generated = torch.full((10, 2), float("inf"))
    with pytest.raises((UserError, np.linalg.LinAlgError)):
        functional.measure(protocol, ["fid"], {"features": generated}, "logits", exact(0.0, 1.0, 2), None)


def test_kid_needs_pictures_not_statistics() -> None:
    with pytest.raises(UserError, match="kid need the reference's features"):
        functional.measure(ProtocolConfig(), ["kid"], {"2048": gaussian(10, 4, 0)}, "logits", exact(0.0, 1.0, 4), None)


def test_kid_subset_larger_than_the_sets_is_refused() -> None:
    with pytest.raises(UserError, match="kid_subset_size 1,000 is more than the 50 pictures"):
        functional.kernel_distance(gaussian(50, 4, 0), gaussian(60, 4, 1), ProtocolConfig())


def test_evenly_keeps_the_mixture_of_a_sorted_set() -> None:
    classes = np.repeat(np.arange(10), 100)
    assert np.bincount(classes[functional.evenly(1000, 250)]).tolist() == [25] * 10
    assert functional.evenly(5, 10).tolist() == functional.evenly(5, None).tolist() == [0, 1, 2, 3, 4]


def test_halves_are_disjoint_and_always_the_same() -> None:
    features = torch.arange(11.0)[:, None]
    first, second = functional.halves(features)
    assert len(first) == len(second) == 5
    assert not set(first.flatten().tolist()) & set(second.flatten().tolist())
    assert torch.equal(first, functional.halves(features)[0])


def test_a_reference_for_precision_and_recall_keeps_only_what_they_use() -> None:
    """The features it keeps give what all of them give, so a protocol of 50,000 pictures carries 10,000 along."""
    generated, real = gaussian(60, 4, 0), gaussian(90, 4, 1, mean=0.3)
    protocol = ProtocolConfig(metrics=("fid", "prc"), extractor="digits", feature_layer="features", prc_samples=20)
    kept = torch.from_numpy(reference.summarize(protocol, real, {})["features"])
    assert len(kept) == 20
    assert functional.precision_recall(generated, kept, protocol) == functional.precision_recall(
        generated, real, protocol
    )
    everything = protocol.model_copy(update={"metrics": ("kid", "prc")})
    assert len(reference.summarize(everything, real, {})["features"]) == 90
    assert protocol.is_served_by(everything)
    assert not everything.is_served_by(protocol)
    assert ProtocolConfig(metrics=("fid",)).is_served_by(protocol)
