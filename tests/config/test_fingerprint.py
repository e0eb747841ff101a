"""Fingerprints change if and only if the result of a stage would change."""

from pathlib import Path
from typing import Any

import yaml

from tests.config.conftest import write
from transgan.config import plan as plans


def test_fingerprints_do_not_depend_on_key_order(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content)).fingerprint("score", "one-cifar10")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert plans.load(path).fingerprint("score", "one-cifar10") == before


def test_an_explicit_default_changes_no_fingerprint(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content)).fingerprint("train", "one-cifar10")
    content["recipes"]["short"]["compile"] = False
    assert plans.load(write(tmp_path, content)).fingerprint("train", "one-cifar10") == before


def test_an_option_that_is_off_is_not_in_the_configuration_that_fingerprints_are_taken_of(
    content: dict[str, Any], tmp_path: Path
) -> None:
    """Results from before an option existed stay valid; see `added_option`."""
    before = plans.load(write(tmp_path, content))
    run = before.run("one-cifar10")
    assert "image_input" not in run.model.plain()["generator"]
    assert all("until" not in term for term in run.recipe.plain()["regularizers"].values())
    content["models"]["small"]["generator"]["image_input"] = False
    assert plans.load(write(tmp_path, content)).fingerprint("train", "one-cifar10") == before.fingerprint(
        "train", "one-cifar10"
    )
    content["models"]["small"]["generator"]["image_input"] = True
    assert plans.load(write(tmp_path, content)).fingerprint("train", "one-cifar10") != before.fingerprint(
        "train", "one-cifar10"
    )


def test_execution_changes_no_fingerprint(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content)).fingerprint("score", "one-cifar10")
    content["execution"] = {"device": "auto", "checkpoint_minutes": 7, "keep_checkpoints": 5, "cuda_graphs": False}
    assert plans.load(write(tmp_path, content)).fingerprint("score", "one-cifar10") == before


def test_fetch_depends_on_the_crop_only_where_it_needs_another_file(content: dict[str, Any], tmp_path: Path) -> None:
    dataset = {"source": "celeba", "resolution": 8, "splits": [{"name": "train"}]}
    content["scales"]["tiny"]["datasets"] |= {"faces": {}}
    prints = {}
    for crop in ("none", "center", "face148", "landmarks"):
        content["datasets"]["faces"] = {**dataset, "crop": crop}
        prints[crop] = plans.load(write(tmp_path, content)).fingerprint("fetch", "faces")
    assert prints["none"] == prints["center"] == prints["face148"] != prints["landmarks"]


def test_evaluation_seeds_do_not_change_the_references_fingerprint(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content))
    content["protocols"]["few"]["seeds"] = [5]
    after = plans.load(write(tmp_path, content))
    reference = before.run("one-cifar10").reference
    assert before.fingerprint("reference", reference) == after.fingerprint("reference", reference)
    assert before.fingerprint("score", "one-cifar10") != after.fingerprint("score", "one-cifar10")
