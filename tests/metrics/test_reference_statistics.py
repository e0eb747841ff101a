"""Reference statistics: what they store, the same bytes every time, and what survives a file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.metrics.features import gaussian
from transgan.errors import UserError
from transgan.metrics.precision_recall import precision_recall
from transgan.metrics.reference_statistics import export_statistics, load_reference, reference_of_features
from transgan.schema import ProtocolConfig

PRC = ProtocolConfig(metrics=("fid", "prc"), extractor="digits", feature_layer="features", prc_samples=20)


def test_a_reference_for_precision_and_recall_stores_only_the_features_that_they_use() -> None:
    """They give the same result as all features, so a protocol of 50,000 images stores 10,000."""
    generated, real = gaussian(60, 4, 0), gaussian(90, 4, 1, mean=0.3)
    stored = reference_of_features(real, PRC).features
    assert stored is not None
    assert len(stored) == 20
    assert precision_recall(generated, stored, PRC) == precision_recall(generated, real, PRC)


def test_a_reference_for_kid_stores_all_features_and_one_for_fid_none() -> None:
    real = gaussian(90, 4, 1)
    with_kid = PRC.model_copy(update={"metrics": ("kid", "prc")})
    features = reference_of_features(real, with_kid).features
    assert features is not None
    assert torch.equal(features, real)
    assert reference_of_features(real, ProtocolConfig(metrics=("fid",))).features is None
    assert PRC.can_use_features_of(with_kid)
    assert not with_kid.can_use_features_of(PRC)
    assert ProtocolConfig(metrics=("fid",)).can_use_features_of(PRC)


def test_the_floor_needs_halves_with_as_many_images_as_features() -> None:
    assert reference_of_features(gaussian(19, 10, 0), PRC).floor is None
    floor = reference_of_features(gaussian(20, 10, 0), PRC).floor
    assert floor is not None
    assert floor > 0


def test_a_saved_reference_is_loaded_unchanged_and_has_the_same_bytes(tmp_path: Path) -> None:
    reference = reference_of_features(gaussian(90, 4, 1), PRC, {"dataset": "cifar10"})
    for name in ("a.npz", "b.npz"):
        reference.save(tmp_path / name)
    loaded = load_reference(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    np.testing.assert_array_equal(loaded.statistics.mu, reference.statistics.mu)
    np.testing.assert_array_equal(loaded.statistics.sigma, reference.statistics.sigma)
    assert (loaded.floor, loaded.self_fid, loaded.about) == (reference.floor, reference.self_fid, reference.about)
    assert loaded.statistics.count == 90


def test_exported_statistics_hold_mu_and_sigma_in_double_precision(tmp_path: Path) -> None:
    reference_of_features(gaussian(90, 4, 1), PRC).save(tmp_path / "reference.npz")
    export_statistics(tmp_path / "reference.npz", tmp_path / "statistics.npz")
    with np.load(tmp_path / "statistics.npz") as arrays:
        assert {name: arrays[name].dtype for name in arrays.files} == {"mu": np.float64, "sigma": np.float64}
    imported = load_reference(tmp_path / "statistics.npz")
    assert (imported.statistics.count, imported.floor, imported.features) == (0, None, None)


def test_a_missing_reference_is_named_with_the_command_that_creates_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; create it with `transgan reference DATASET PROTOCOL`"):
        load_reference(tmp_path / "missing.npz")
