"""No stale results: every ingredient changes the fingerprints that depend on it, and changed content is detected."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scoring.conftest import REFERENCE, RUN, write_params
from transgan.config import plan
from transgan.config.fingerprint import REFERENCE_FIELDS
from transgan.data.pack import content_digest
from transgan.errors import UserError
from transgan.metrics.reference_statistics import load_reference
from transgan.schema import ProtocolConfig
from transgan.scoring import classifier, reference, score
from transgan.utils import files

OTHER: dict[str, Any] = {
    "metrics": ["fid", "kid"],
    "extractor": "inception-v3-compat",
    "weights": "mine.pth",
    "feature_layer": "other",
    "samples": 150,
    "splits": ["test"],
    "reference_samples": 500,
    "resize": "box",
    "quantize": "round",
    "is_splits": 5,
    "fid_counts": [100, 200],
    "kid_subsets": 11,
    "kid_subset_size": 50,
    "prc_neighborhood": 4,
    "prc_samples": 100,
    "seeds": [1],
    "allow_few_samples": True,
    "batch": 40,
    "precision": "bfloat16",
    "threads": 2,
}


# Published statistics change no fingerprint: freshness follows the imported files (test_compare_references.py).
NOT_IN_FINGERPRINTS = {"statistics"}


def test_every_field_of_a_protocol_is_covered() -> None:
    assert set(OTHER) | NOT_IN_FINGERPRINTS == set(ProtocolConfig.model_fields)


@pytest.mark.parametrize("field", sorted(OTHER))
def test_every_field_of_a_protocol_changes_the_fingerprint_of_what_depends_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    before = plan.load()
    write_params(tmp_path, **{field: OTHER[field]})
    after = plan.load()
    assert before.fingerprint("score", RUN) != after.fingerprint("score", RUN)
    assert before.fingerprint("train", RUN) == after.fingerprint("train", RUN)
    changed = before.fingerprint("reference", REFERENCE) != after.fingerprint("reference", REFERENCE)
    assert changed == (field in REFERENCE_FIELDS)


def test_the_features_that_a_metric_needs_are_part_of_the_references_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    before = plan.load().fingerprint("reference", REFERENCE)
    write_params(tmp_path, metrics=["is", "fid"])
    assert plan.load().fingerprint("reference", REFERENCE) != before


def test_another_pack_under_the_same_fingerprint_recomputes_the_reference(project: Path) -> None:
    current = plan.load()
    path = current.paths.reference(REFERENCE)
    before = path.read_bytes()
    folder = current.paths.data("cifar10")
    shutil.copytree(folder, "other")
    shutil.rmtree(folder)
    shutil.move("other", folder)  # no longer the same files as the store's
    images = np.load(folder / "images.npy")
    np.save(folder / "images.npy", 255 - images)
    digest = content_digest({name: files.sha256(folder / name) for name in ("images.npy", "labels.npy")})
    files.write_json(folder / "manifest.json", files.read_json(folder / "manifest.json") | {"sha256": digest})
    with pytest.raises(UserError, match="changed or damaged"):
        reference.compute(current, REFERENCE)
    shutil.rmtree(current.paths.store("prepare"))  # with the record of this pack; a pulled pack comes without one
    reference.compute(current, REFERENCE)
    assert path.read_bytes() != before
    assert load_reference(path).about["data"] == digest


def test_another_classifier_under_the_same_fingerprint_recomputes_reference_and_score(project: Path) -> None:
    current = plan.load()
    score.score(current, RUN)
    before = current.paths.reference(REFERENCE).read_bytes(), current.paths.score(RUN).read_bytes()
    other = write_params(project, samples=200)
    content = other.read_text().replace("epochs: 2", "epochs: 3")
    other.write_text(content)
    changed = plan.load()
    classifier.train(changed, "digits")
    write_params(project)
    current = plan.load()  # the old fingerprint, with the new classifier's file
    reference.compute(current, REFERENCE)
    score.score(current, RUN)
    after = current.paths.reference(REFERENCE).read_bytes(), current.paths.score(RUN).read_bytes()
    assert before[0] != after[0]
    assert before[1] != after[1]
