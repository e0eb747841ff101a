"""Which snapshots a recipe takes, at which of them it measures FID, and where it is compiled."""

from typing import Any

import pytest
from pydantic import ValidationError

from transgan.schema import RecipeConfig


def recipe(**dynamics: Any) -> RecipeConfig:
    """A recipe of 1000 images in batches of 10."""
    return RecipeConfig.model_validate({"images": 1000, "batch": 10, "ema": {"beta": 0.9}, "dynamics": dynamics})


def test_snapshots_are_log_spaced_from_start_to_end() -> None:
    assert recipe(points=4, first=10).snapshots == [0, 10, 100, 1000]
    assert recipe(points=4, first=10).fid_snapshots == []
    assert recipe(points=4, first=10, fid_samples=5).fid_snapshots == [0, 10, 100, 1000]


def test_given_counts_are_added_and_fid_is_measured_there_and_at_the_end_alone() -> None:
    given = recipe(points=4, first=10, at=[200, 500], fid_samples=5)
    assert given.snapshots == [0, 10, 100, 200, 500, 1000]
    assert given.log_spaced_snapshots == [0, 10, 100, 1000]
    assert given.fid_snapshots == [200, 500, 1000]
    assert recipe(points=4, first=10, at=[200, 500]).fid_snapshots == []


def test_counts_are_those_of_whole_steps_and_those_after_the_end_are_left_out() -> None:
    given = recipe(points=2, at=[195, 201, 202, 1001, 5000], fid_samples=5)
    assert given.snapshots == [0, 200, 210, 1000]
    assert given.fid_snapshots == [200, 210, 1000]


def test_no_given_counts_leave_no_trace_in_the_plain_configuration() -> None:
    """The fingerprint of a recipe without them is the one that it had before they existed."""
    assert recipe(at=[]).plain()["dynamics"] == {"points": 8, "first": 1000, "latents": 64, "fid_samples": 0}
    assert recipe(at=[7]).plain()["dynamics"]["at"] == [7]


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ValidationError):
        recipe(at=[0])


@pytest.mark.parametrize(("value", "cpu", "gpu"), [(False, False, False), (True, True, True), ("auto", False, True)])
def test_auto_compiles_on_a_gpu_and_not_on_a_cpu(value: bool | str, cpu: bool, gpu: bool) -> None:
    content = {"images": 1000, "ema": {"beta": 0.9}, "compile": value}
    assert RecipeConfig.model_validate(content).compiled_on("cpu") == cpu
    assert RecipeConfig.model_validate(content).compiled_on("cuda") == gpu


@pytest.mark.parametrize("value", [True, "auto"])
def test_recomputation_excludes_compilation(value: bool | str) -> None:
    content = {"images": 1000, "ema": {"beta": 0.9}, "compile": value, "checkpoint_activations": True}
    with pytest.raises(ValidationError, match="write `compile: false`"):
        RecipeConfig.model_validate(content)
