"""Rehearsals of runs: what they find, and the batch and micro-batches that they try."""

from pathlib import Path
from typing import Any

import pytest
import torch

from transgan.config import plan as plans
from transgan.cost import rehearsal
from transgan.cost.rehearsal_file import DOES_NOT_FIT, SHAPES
from transgan.errors import UserError
from transgan.schema import RecipeConfig
from transgan.training.step import Trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_on_a_cpu_a_run_is_rehearsed_with_its_smallest_batch(project: Path) -> None:
    plan = plans.load()
    result = rehearsal.rehearse(plan, plan.run("one-cifar10"), "cpu")
    assert (result.result, result.error, result.batch, result.seconds_per_image) == (SHAPES, None, 1, None)
    assert result.peak_gib is not None
    assert result.peak_gib > 0.1  # PyTorch alone takes more
    assert result.stages["snapshot"] == "ok"
    assert result.stages["score"].startswith("not tried: results/tiny/classifiers/digits.safetensors: no such file")


def test_memory_that_does_not_suffice_is_reported_and_later_stages_are_tried(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allocate(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nGPU 0 has ...")

    monkeypatch.setattr(Trainer, "training_step", allocate)
    plan = plans.load()
    result = rehearsal.rehearse(plan, plan.run("one-cifar10"), "cpu")
    assert result.result == DOES_NOT_FIT
    assert result.failed == ["out of memory: CUDA out of memory. Tried to allocate 20 GiB."]
    assert result.stages["snapshot"] == "ok"


def test_a_kernel_that_fails_in_a_later_stage_is_reported(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transgan.training.dynamics import Dynamics

    def fail(*_: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(Dynamics, "record", fail)
    plan = plans.load()
    result = rehearsal.rehearse(plan, plan.run("one-cifar10"), "cpu")
    assert result.failed == ["snapshot: failed: RuntimeError: no kernel image is available"]


def recipe(**changes: Any) -> RecipeConfig:
    return RecipeConfig.model_validate(
        {"images": 64, "batch": 16, "generator_batch": 32, "ema": {"beta": 0.9}, **changes}
    )


@pytest.mark.parametrize(
    ("changes", "group", "device", "batch"),
    [
        ({}, 1, CUDA, 16),
        ({"devices": 4}, 1, CUDA, 4),
        ({}, 1, CPU, 1),
        ({}, 4, CPU, 4),  # the discriminator takes four images at a time
        ({"batch_group": 8}, 1, CPU, 1),
    ],
)
def test_batch_of_a_rehearsal(changes: dict[str, Any], group: int, device: torch.device, batch: int) -> None:
    reduced = rehearsal._on_one_device(recipe(**changes), group, device)
    assert (reduced.batch, reduced.generator_batch, reduced.devices) == (batch, 2 * batch, 1)


def test_a_share_that_splits_the_discriminators_groups_is_refused() -> None:
    with pytest.raises(UserError, match="not a multiple of 4 images"):
        rehearsal._on_one_device(recipe(devices=8), 4, CUDA)


@pytest.mark.parametrize(
    ("memory_for", "fits", "largest"),
    [(8, 4, 8), (100, 4, 32), (4, 4, 4), (2, None, 2), (0, None, None)],
)
def test_largest_micro_batch(
    memory_for: int, fits: int | None, largest: int | None, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(trial: rehearsal._Trial, timed: bool) -> str | None:
        assert not timed
        assert trial.recipe.micro_batch is not None
        return None if trial.recipe.micro_batch <= memory_for else "out of memory"

    monkeypatch.setattr(rehearsal._Trial, "measure", measure)
    run = plans.load().run("one-cifar10")
    assert rehearsal._largest_micro_batch(run, recipe(micro_batch=4), CUDA, 1, fits) == largest
