"""Evaluation: equal to torch-fidelity called by hand, refuses meaningless input, and changes no process settings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.metrics.features import exact, gaussian, reference_of
from transgan.errors import UserError
from transgan.metrics import image_sources
from transgan.metrics.digit_classifier import DigitNet
from transgan.metrics.evaluator import compute_metrics, evaluate_sources, required_layers, stored_images, title
from transgan.metrics.fid import FeatureStatistics
from transgan.metrics.reference_statistics import compute_reference
from transgan.schema import ProtocolConfig

CPU = torch.device("cpu")
DIGITS = ProtocolConfig(metrics=("is", "fid"), extractor="digits", feature_layer="features", samples=40, is_splits=2)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """An untrained digit classifier with 6 features."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = DigitNet(8, 4, 6, 10)
    about = {"needed": True, "resolution": 8, "width": 4, "features": 6, "classes": 10}
    save_file(net.state_dict(), tmp_path / "classifier.safetensors", {"transgan": json.dumps(about)})
    return tmp_path / "classifier.safetensors"


def images(count: int, seed: int) -> image_sources.ImageSource:
    array = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return image_sources.from_array(array)


def test_every_metric_equals_torch_fidelity_called_by_hand() -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    generated, real, logits = gaussian(400, 16, 0, mean=0.3), gaussian(500, 16, 1), gaussian(400, 10, 2, scale=3.0)
    protocol = ProtocolConfig(
        metrics=("is", "fid", "kid", "prc"),
        extractor="digits",
        feature_layer="features",
        samples=400,
        kid_subsets=10,
        kid_subset_size=100,
    )
    reference = reference_of(FeatureStatistics.of(real), real)
    metrics = compute_metrics(protocol, {"features": generated, "logits": logits}, reference)
    fid = fid_statistics_to_metric(fid_features_to_statistics(generated), fid_features_to_statistics(real), False)
    isc = isc_features_to_metric(logits, 10)
    kid = kid_features_to_metric(generated, real, kid_subsets=10, kid_subset_size=100, verbose=False)
    prc = prc_features_to_metric(generated, real, verbose=False)
    assert metrics["fid"].value == pytest.approx(fid["frechet_inception_distance"], abs=1e-6)
    assert (metrics["is"].value, metrics["is"].spread) == pytest.approx(
        (isc["inception_score_mean"], isc["inception_score_std"]), abs=1e-6
    )
    assert (metrics["kid"].value, metrics["kid"].spread) == pytest.approx(tuple(kid.values()), abs=1e-6)
    assert (metrics["precision"].value, metrics["recall"].value) == pytest.approx(
        (prc["precision"], prc["recall"]), abs=1e-6
    )


def test_only_the_layers_of_the_protocols_metrics_are_required() -> None:
    layers = {
        metrics: required_layers(ProtocolConfig(metrics=metrics)) for metrics in (("is",), ("fid",), ("is", "kid"))
    }
    assert layers == {
        ("is",): ["logits_unbiased"],
        ("fid",): ["2048"],
        ("is", "kid"): ["2048", "logits_unbiased"],
    }


def test_a_score_that_is_not_finite_is_an_error() -> None:
    protocol = ProtocolConfig(metrics=("fid",), feature_layer="features")
    generated = torch.full((10, 2), float("inf"))
    with pytest.raises((UserError, np.linalg.LinAlgError)):
        compute_metrics(protocol, {"features": generated}, reference_of(exact(0.0, 1.0, 2)))


@pytest.mark.parametrize(("metric", "needs"), [("kid", "KID needs"), ("prc", "precision and recall need")])
def test_metrics_that_need_reference_features_are_refused_without_them(metric: str, needs: str) -> None:
    protocol = ProtocolConfig.model_validate({"metrics": [metric]})
    with pytest.raises(UserError, match=f"{needs} the features of the reference"):
        compute_metrics(protocol, {"2048": gaussian(10, 4, 0)}, reference_of(exact(0.0, 1.0, 4)))


def test_images_are_evaluated_against_a_reference_without_a_plan(weights: Path) -> None:
    reference = compute_reference(images(60, 1), DIGITS, weights, CPU)
    sources = [stored_images(images(count, 0), DIGITS) for count in (40, 50)]
    result = evaluate_sources(sources, reference, DIGITS, weights, CPU)
    assert {name: len(metric["values"]) for name, metric in result["metrics"].items()} == {"is": 2, "fid": 2}
    assert (result["settings"]["samples"], result["settings"]["reference_count"]) == (40, 60)
    assert result["warnings"] == []


def test_fewer_images_than_the_protocol_names_give_a_warning(weights: Path) -> None:
    reference = compute_reference(images(60, 1), DIGITS, weights, CPU)
    result = evaluate_sources([stored_images(images(30, 0), DIGITS)], reference, DIGITS, weights, CPU)
    assert result["warnings"] == ["30 images instead of the protocol's 40: FID is biased upwards, IS downwards"]


def test_evaluation_leaves_threads_and_precision_of_the_process_alone(weights: Path) -> None:
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        protocol = DIGITS.model_copy(update={"threads": 2})
        reference = compute_reference(images(60, 1), protocol, weights, CPU)
        evaluate_sources([stored_images(images(40, 0), protocol)], reference, protocol, weights, CPU)
        assert torch.get_num_threads() == 1
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
        torch.backends.cudnn.allow_tf32 = before[2]


def test_only_layer_2048_may_be_called_fid() -> None:
    protocol = ProtocolConfig(metrics=("fid",))
    names = {
        layer: title("fid", protocol.model_copy(update={"feature_layer": layer})) for layer in ("64", "768", "2048")
    }
    assert names == {"64": "FID-64", "768": "FID-768", "2048": "FID"}
    assert title("is", protocol) == "IS"
    assert title("fid", DIGITS) == "FID-digits"
