"""Training the convolutional baselines: steps, micro-batches, processes, compilation, and resumed runs."""

import copy
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from tests.training.conftest import HASHED, RUN, digests
from tests.training.distributed.test_process_group import free_port
from tests.training.test_loop import crash_at_step
from transgan.config import plan as plans
from transgan.cost.estimate import estimate
from transgan.models import build_discriminator, build_generator
from transgan.models.serialization import load_generator
from transgan.schema import ModelConfig, RecipeConfig
from transgan.training.distributed.process_group import ProcessGroup, init_process_group
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.training.train import train
from transgan.utils.random import RandomStreams

WGAN_GP = {
    "generator": {"family": "resnet", "latent": 16, "width": 8, "bottom_width": 2, "blocks": [8, 8]},
    "discriminator": {"family": "resnet", "blocks": [{"width": 8, "downsample": True}, {"width": 8}]},
}
AUTOGAN = {
    "generator": {
        "family": "autogan",
        "latent": 16,
        "width": 8,
        "bottom_width": 2,
        "cells": [{"upsample": "nearest", "shortcut": True}, {"upsample": "bilinear", "skips": [0], "shortcut": True}],
    },
    "discriminator": {**WGAN_GP["discriminator"], "pool": "sum", "head_bias": False, "spectral_norm": True},
}
TRANSFORMER = {"latent": 16, "width": 64, "bottom_width": 2, "stages": [{"blocks": [{"depth": 1}]}] * 3}
NO_BATCH_NORM = {"generator": TRANSFORMER, "discriminator": AUTOGAN["discriminator"]}
MODELS = {"wgan-gp": WGAN_GP, "autogan": AUTOGAN}
ADAM = {"lr": 0.01, "betas": [0.0, 0.9], "clip_norm": None}
PENALTY = {"gradient_penalty": {"kind": "gradient_penalty", "weight": 10.0}}
RECIPE = {
    "images": 64,
    "batch": 8,
    "generator_batch": 8,
    "n_critic": 2,
    "d_loss": "hinge",
    "g_loss": "hinge",
    "discriminator": ADAM,
    "generator": ADAM,
    "ema": {"beta": 0.9},
    "leak_generator_gradient": False,
}


def trainer_of(model: dict[str, Any], process_group: ProcessGroup | None = None, **changes: Any) -> Trainer:
    config, recipe = ModelConfig.model_validate(model), RecipeConfig.model_validate({**RECIPE, **changes})
    torch.manual_seed(0)
    generator, discriminator = build_generator(config.generator), build_discriminator(config.discriminator, 8)
    return Trainer(recipe, generator, discriminator, copy.deepcopy(generator), process_group or ProcessGroup())


def steps(trainer: Trainer, count: int) -> dict[str, float]:
    """Take steps on images and inputs that follow from their numbers; returns what the last one measured."""
    recipe, streams = trainer.recipe, RandomStreams(0)
    random_inputs = RandomInputs(streams, recipe, trainer.augmentation, trainer.generator, trainer.discriminator)
    rows = trainer.process_group.rows(recipe.batch)
    for _ in range(count):
        trainer.meter.clear()
        real = streams.uniform("real", trainer.step, recipe.batch, 3, 8, 8) * 2 - 1
        trainer.training_step(real[rows], random_inputs)
    return trainer.meter.means()


def everything(trainer: Trainer) -> dict[str, torch.Tensor]:
    nets = {"generator": trainer.generator, "discriminator": trainer.discriminator, "average": trainer.generator_ema}
    return {f"{name}.{key}": value.clone() for name, net in nets.items() for key, value in net.state_dict().items()}


@pytest.mark.parametrize("augment", [[], ["diffaug_color", "diffaug_translation", "diffaug_cutout"]])
@pytest.mark.parametrize("name", MODELS)
def test_steps_change_every_parameter(name, augment):
    trainer = trainer_of(
        MODELS[name],
        augment=augment,
        **({"d_loss": "wasserstein", "regularizers": PENALTY} if name == "wgan-gp" else {}),
    )
    before = everything(trainer)
    measured = steps(trainer, 3)
    assert all(np.isfinite(value) for value in measured.values())
    for key, value in everything(trainer).items():
        assert value.isfinite().all(), key
        assert not torch.equal(value, before[key]) or value.numel() == 1, key


@pytest.mark.parametrize("name", MODELS)
def test_the_moving_average_copies_running_statistics(name):
    trainer = trainer_of(MODELS[name])
    steps(trainer, 3)
    state = everything(trainer)
    buffers = [key for key in state if key.startswith("average.") and "running" in key]
    assert buffers
    for key in buffers:
        assert torch.equal(state[key], state[key.replace("average.", "generator.")])


@pytest.mark.parametrize("changes", [{"micro_batch": 4}, {"micro_batch": 3}, {"checkpoint_activations": True}])
def test_micro_batches_give_the_same_training_with_spectral_norm(changes):
    """Without batch norm, whose statistics depend on the forward pass."""
    whole, split = (
        trainer_of(NO_BATCH_NORM, regularizers=PENALTY),
        trainer_of(NO_BATCH_NORM, regularizers=PENALTY, **changes),
    )
    for trainer in (whole, split):
        steps(trainer, 4)
    torch.testing.assert_close(everything(split), everything(whole), atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_recomputed_activations_give_the_same_training(name):
    whole, recomputed = (
        trainer_of(MODELS[name], regularizers=PENALTY),
        trainer_of(MODELS[name], regularizers=PENALTY, checkpoint_activations=True),
    )
    for trainer in (whole, recomputed):
        steps(trainer, 3)
    torch.testing.assert_close(everything(recomputed), everything(whole), atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_restoring_a_state_continues_training_exactly(name):
    straight, first, second = (trainer_of(MODELS[name]) for _ in range(3))
    steps(straight, 5)
    steps(first, 3)
    second.restore(copy.deepcopy(first.state()))
    steps(second, 2)
    for key, value in everything(straight).items():
        assert torch.equal(everything(second)[key], value), key


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_compiled_losses_give_the_same_training(name, monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    eager, compiled = (
        trainer_of(MODELS[name], regularizers=PENALTY),
        trainer_of(MODELS[name], regularizers=PENALTY, compile=True),
    )
    measured = [steps(trainer, 3) for trainer in (eager, compiled)]
    assert measured[1] == pytest.approx(measured[0], abs=1e-3)
    # Biases before a batch norm have gradients of rounding errors alone, which Adam turns into full steps.
    weights = [
        {key: value for key, value in everything(trainer).items() if "weight" in key} for trainer in (eager, compiled)
    ]
    torch.testing.assert_close(weights[1], weights[0], atol=2e-4, rtol=0)


def in_a_process(rank: int, port: int, expected: dict[str, torch.Tensor]) -> None:
    torch.set_num_threads(1)
    os.environ.update(WORLD_SIZE="2", RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    process_group = init_process_group("cpu")
    trainer = trainer_of(NO_BATCH_NORM, process_group, regularizers=PENALTY)
    steps(trainer, 4)
    torch.testing.assert_close(everything(trainer), expected, atol=2e-4, rtol=0)
    process_group.close()


@pytest.mark.slow
def test_two_processes_give_the_same_training_with_spectral_norm():
    alone = trainer_of(NO_BATCH_NORM, regularizers=PENALTY)
    steps(alone, 4)
    torch.multiprocessing.spawn(in_a_process, (free_port(), everything(alone)), nprocs=2)


@pytest.fixture
def baseline(project: Path) -> Path:
    """The tiny project with the networks of AutoGAN instead of transformers."""
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["models"]["small"] = AUTOGAN
    content["recipes"]["short"].update(regularizers=PENALTY, ema={"beta": 0.9})
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    return project


def test_a_crashed_run_of_a_baseline_resumes_to_the_same_bytes(baseline, monkeypatch):
    with monkeypatch.context() as patch:
        crash_at_step(patch, 5)
    train(plans.load(), RUN)
    interrupted = digests(baseline)
    results, state = baseline / "results", baseline / "state"
    results.rename(baseline / "results-before")
    state.rename(baseline / "state-before")
    train(plans.load(), RUN)
    assert digests(baseline) == interrupted
    assert set(interrupted) == set(HASHED)
    with np.load(results / "tiny/runs" / RUN / "dynamics.npz") as dynamics:
        assert dynamics["attention_distance"].shape == (3, 0, 0)
        assert dynamics["attention_layers"].shape == (0,)
        last = dynamics["pictures"][-1]
    saved = load_generator(results / "tiny/runs" / RUN / "generator.safetensors")
    assert saved.config.family == "autogan"
    assert not any(isinstance(module, nn.BatchNorm2d) and module.training for module in saved.module.modules())
    assert last.shape == (16, 8, 8, 3)


@pytest.mark.parametrize("model", [WGAN_GP, AUTOGAN])
def test_costs_are_counted_without_allocating(baseline, model):
    content = yaml.safe_load((baseline / "params.yaml").read_text())
    content["models"]["small"] = model
    (baseline / "params.yaml").write_text(yaml.safe_dump(content))
    cost = estimate(plans.load().run(RUN))
    assert cost.generator_parameters == sum(
        parameter.numel() for parameter in build_generator(ModelConfig.model_validate(model).generator).parameters()
    )
    assert cost.gflop_per_image > 0
