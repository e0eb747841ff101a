"""Super-resolution co-training: known values, whose gradient it is, and the same training however it is computed."""

import copy
import functools
import os
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.conftest import ROOT
from tests.training.distributed.test_process_group import free_port
from tests.training.regularizers.contexts import generator_context
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.models import build_discriminator, build_generator
from transgan.models.base import GeneratorNetwork
from transgan.models.generator import Generator
from transgan.schema import ModelConfig, RecipeConfig
from transgan.schema.recipe import Regularizer
from transgan.training.distributed.process_group import ProcessGroup, init_process_group
from transgan.training.random_inputs import GeneratorInputs, RandomInputs
from transgan.training.regularizers import REGULARIZERS
from transgan.training.regularizers.context import Context
from transgan.training.step import Trainer
from transgan.utils.random import RandomStreams

TERM = {"kind": "super_resolution", "net": "generator", "weight": 50.0}
MODEL: dict[str, Any] = {
    "generator": {
        "latent": 8,
        "width": 64,
        "bottom_width": 4,
        "relative_position": False,
        "image_input": True,
        "locality_band": [{"until": 32, "width": 3}],
        "stages": [{"blocks": [{"depth": 1}]}] * 2,
    },
    "discriminator": {
        "width": 16,
        "patch": 4,
        "noise": False,
        "relative_position": False,
        "class_token": "first",
        "stages": [{"share": 1.0, "blocks": [{"depth": 1}]}],
    },
}


def recipe(**changes: Any) -> RecipeConfig:
    return RecipeConfig.model_validate(
        {
            "images": 64,
            "batch": 8,
            "generator_batch": 16,
            "n_critic": 2,
            "regularizers": {"gradient_penalty": {"kind": "gradient_penalty", "weight": 10.0}, "sr": TERM},
            "ema": {"beta": 0.9},
            "leak_generator_gradient": False,
            **changes,
        }
    )


class Training:
    """The first version's networks, a few thousand parameters, trained by the project's own step."""

    def __init__(self, process_group: ProcessGroup | None = None, **changes: Any) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        model = ModelConfig.model_validate(MODEL)
        generator, discriminator = build_generator(model.generator), build_discriminator(model.discriminator, 8)
        config = recipe(**changes)
        self.trainer = Trainer(
            config, generator, discriminator, copy.deepcopy(generator), process_group or ProcessGroup()
        )
        self.streams = RandomStreams(0)
        self.random_inputs = RandomInputs(self.streams, config, self.trainer.augmentation, generator, discriminator)

    def advance(self, steps: int = 1) -> dict[str, float]:
        """Take `steps` steps; returns what the last one measured."""
        trainer = self.trainer
        for _ in range(steps):
            real = self.streams.normal("real", trainer.step, trainer.recipe.batch, 3, 8, 8) / 2
            trainer.meter.clear()
            trainer.training_step(real[trainer.process_group.rows(len(real))], self.random_inputs)
        return trainer.meter.means()

    def weights(self) -> dict[str, Tensor]:
        nets = {"g": self.trainer.generator, "d": self.trainer.discriminator, "ema": self.trainer.generator_ema}
        return {f"{name}.{key}": value for name, net in nets.items() for key, value in net.state_dict().items()}


class Enlarge(GeneratorNetwork):
    """Every pixel of the small image becomes a square of the same color, plus a constant."""

    latent, resolution, image_side = 1, 8, 4

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = nn.Parameter(torch.tensor(error))

    def super_resolve(self, images: Tensor) -> Tensor:
        return F.interpolate(images, scale_factor=2) + self.error


def context(generator: nn.Module, real: Tensor, batch: int) -> Context:
    return generator_context(generator, GeneratorInputs(torch.zeros(2, 1)), real=real, real_batch=batch)


def term(**changes: Any) -> Regularizer:
    return Regularizer.model_validate({**TERM, **changes})


def test_the_loss_is_zero_for_a_generator_that_reproduces_the_images():
    squares = F.interpolate(torch.randn(3, 3, 4, 4), scale_factor=2)
    assert REGULARIZERS["super_resolution"](term(), context(Enlarge(0.0), squares, 3)).item() == pytest.approx(0)


def test_the_loss_is_the_mean_squared_error_over_the_whole_batch():
    squares = F.interpolate(torch.randn(3, 3, 4, 4), scale_factor=2)
    generator = Enlarge(0.5)
    value = REGULARIZERS["super_resolution"](term(), context(generator, squares, 3))
    assert value.item() == pytest.approx(0.25)
    (slope,) = torch.autograd.grad(value, generator.error)
    assert slope.item() == pytest.approx(1.0)
    # A micro-batch contributes its share: 3 of 12 real images, or none.
    assert REGULARIZERS["super_resolution"](term(), context(generator, squares, 12)).item() == pytest.approx(0.0625)
    assert REGULARIZERS["super_resolution"](term(), context(generator, squares[:0], 12)).item() == 0


def test_the_image_is_reduced_by_means_over_squares():
    real = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    seen = []

    class Watch(Enlarge):
        def super_resolve(self, images: Tensor) -> Tensor:
            seen.append(images)
            return super().super_resolve(images)

    REGULARIZERS["super_resolution"](term(), context(Watch(0.0), real, 1))
    assert seen[0].shape == (1, 3, 4, 4)
    assert seen[0][0, 0, 0, 0].item() == (0 + 1 + 8 + 9) / 4
    assert seen[0][0, 2, 3, 1].item() == (50 + 51 + 58 + 59) / 4


def test_a_generator_step_minimizes_the_weighted_sum_and_leaves_the_discriminator_alone():
    training = Training(generator={"clip_norm": None})
    trainer, real = training.trainer, torch.randn(8, 3, 8, 8) / 2
    inputs = training.random_inputs.generator(0)
    with torch.no_grad():
        adversarial = -trainer.discriminator(trainer.generator(inputs.z)).mean().item()
        error = F.mse_loss(trainer.generator.super_resolve(F.avg_pool2d(real, 2)), real).item()
    before = {key: value.clone() for key, value in training.weights().items()}
    trainer.generator_step(inputs, real)
    measured = trainer.meter.means()
    assert measured["sr"] == pytest.approx(error, rel=1e-5)
    assert measured["g_loss"] == pytest.approx(adversarial + 50 * error, rel=1e-5)
    after = training.weights()
    assert {key[0] for key in before if not torch.equal(before[key], after[key])} == {"g", "e"}
    assert not torch.equal(before["g.project_image.weight"], after["g.project_image.weight"])
    assert all(parameter.grad is None for parameter in trainer.discriminator.parameters())


def test_the_term_ends_at_its_image_count():
    training = Training(regularizers={"sr": {**TERM, "until": 32}})
    assert ["sr" in training.advance() for _ in range(6)] == [True, False, True, False, False, False]
    still = training.trainer.generator.project_image.weight.clone()
    assert "g_loss" in training.advance()
    assert torch.equal(training.trainer.generator.project_image.weight, still)


@pytest.mark.parametrize("micro_batch", [4, 5, 1])
def test_micro_batches_give_the_same_training(micro_batch):
    whole, parts = Training(), Training(micro_batch=micro_batch)
    for _ in range(3):
        assert parts.advance() == pytest.approx(whole.advance(), rel=1e-3, abs=1e-5)
    for key, value in whole.weights().items():
        torch.testing.assert_close(parts.weights()[key], value, atol=2e-5, rtol=0, msg=key)


def test_recomputed_activations_give_the_same_training():
    whole, recomputed = Training(), Training(checkpoint_activations=True)
    for _ in range(3):
        assert recomputed.advance() == pytest.approx(whole.advance(), rel=1e-5)


def test_a_restored_trainer_continues_with_the_same_bytes():
    training = Training(regularizers={"sr": {**TERM, "until": 48}})
    training.advance(3)
    state = copy.deepcopy(training.trainer.state())
    training.advance(5)
    resumed = Training(regularizers={"sr": {**TERM, "until": 48}})
    resumed.trainer.restore(state)
    resumed.advance(5)
    for key, value in training.weights().items():
        assert torch.equal(resumed.weights()[key], value), key


def in_process(rank: int, count: int, port: int, expected: dict[str, Tensor]) -> None:
    os.environ.update(WORLD_SIZE=str(count), RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    process_group = init_process_group("cpu")
    training = Training(process_group)
    training.advance(4)
    for key, value in training.weights().items():
        torch.testing.assert_close(value, expected[key], atol=2e-5, rtol=0, msg=key)
    process_group.close()


@pytest.mark.slow
def test_two_processes_give_the_same_training():
    training = Training()
    training.advance(4)
    torch.multiprocessing.spawn(in_process, (2, free_port(), training.weights()), nprocs=2)


@pytest.mark.slow
def test_the_compiled_step_gives_the_same_training(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    whole, compiled = Training(), Training(compile=True)
    for _ in range(3):
        assert compiled.advance() == pytest.approx(whole.advance(), rel=1e-3, abs=1e-5)


def test_under_bfloat16_the_error_is_float32():
    measured = Training(precision="bfloat16").advance()
    assert measured["sr"] == pytest.approx(Training().advance()["sr"], rel=0.02)


def test_co_training_changes_no_initial_weight_and_no_sample():
    with_images = ModelConfig.model_validate(MODEL)
    without = ModelConfig.model_validate({**MODEL, "generator": {**MODEL["generator"], "image_input": False}})
    built = []
    for model in (with_images, without):
        torch.manual_seed(3)
        built.append(build_generator(model.generator))
    state, plain = (generator.state_dict() for generator in built)
    assert set(state) - set(plain) == {"project_image.weight", "project_image.bias"}
    assert sum(value.numel() for value in state.values()) - sum(value.numel() for value in plain.values()) == 64 * 4
    assert all(torch.equal(state[key], value) for key, value in plain.items())
    z = torch.randn(2, 8)
    assert torch.equal(built[0](z), built[1](z))
    assert (built[0].image_side, built[1].image_side) == (4, 0)
    assert isinstance(built[0], Generator)


@pytest.mark.parametrize("name", ["v1-stl10", "v1-celeba64", "v1-plain-cifar10", "v1-cotraining-cifar10"])
def test_runs_that_the_demo_skips_train_at_its_size(name):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    run = plans.load(ROOT / "params.yaml", "demo").run(name)
    side = run.dataset.resolution
    generator, discriminator = build_generator(run.model.generator), build_discriminator(run.model.discriminator, side)
    trainer = Trainer(run.recipe, generator, discriminator, copy.deepcopy(generator), ProcessGroup())
    streams = RandomStreams(0)
    random_inputs = RandomInputs(streams, run.recipe, trainer.augmentation, generator, discriminator)
    errors = []
    for step in range(10 * run.recipe.n_critic):
        trainer.meter.clear()
        trainer.training_step(streams.uniform("real", step, run.recipe.batch, 3, side, side) / 2, random_inputs)
        errors.append(trainer.meter.means().get("super_resolution"))
    measured = [error for error in errors if error is not None]
    assert all(parameter.isfinite().all() for parameter in generator.parameters())
    if name == "v1-plain-cifar10":
        assert not measured
    else:
        assert measured[-1] < 0.9 * measured[0]


def test_what_cannot_be_combined_is_refused():
    for changes, message in (
        ({"net": "discriminator"}, "is a term of the generator"),
        ({"own_step": True, "until": 5}, "cannot be limited by `until`"),
    ):
        with pytest.raises(ValueError, match=message):
            term(**changes)
    with pytest.raises(ValueError, match="`batch` 32 may not exceed `generator_batch` 16"):
        recipe(batch=32, micro_batch=4)
    for option in ("noise", "latent_attention"):
        with pytest.raises(ValueError, match="`image_input` excludes"):
            ModelConfig.model_validate({**MODEL, "generator": {**MODEL["generator"], option: True}})
    generator = build_generator(
        ModelConfig.model_validate({**MODEL, "generator": {**MODEL["generator"], "image_input": False}}).generator
    )
    training = Training()
    with pytest.raises(UserError, match="image_input: true"):
        RandomInputs(
            training.streams, recipe(), training.trainer.augmentation, generator, training.trainer.discriminator
        )
