"""No training step of any run makes the host wait for a GPU, by reading a value or by sending constants.

The tests run on a CPU: they look for the operators that would wait.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from transgan.config import plan as plans
from transgan.config.plan import Run
from transgan.models import build_discriminator, build_generator
from transgan.training.augmentation import OPERATIONS, Augmentation
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.utils.random import RandomStreams

PARAMS = Path(__file__).parents[2] / "params.yaml"
DEMO = plans.load(PARAMS, "demo")
aten = torch.ops.aten
# Operators that give the host a value, that have a result of a size the host must know, or that copy host values.
SYNCHRONIZING = {
    aten._local_scalar_dense,
    aten.equal,
    aten.nonzero,
    aten.masked_select,
    aten.repeat_interleave.Tensor,
    aten.lift_fresh,
}
INDEXING = {aten.index, aten.index_put, aten.index_put_}


class NoSynchronization(TorchDispatchMode):
    """Inside, operators that make the host wait for a GPU raise AssertionError."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert not SYNCHRONIZING & {func, func.overloadpacket}, func
        if func.overloadpacket in INDEXING:
            assert not any(index is not None and index.dtype == torch.bool for index in args[1]), func
        return func(*args, **(kwargs or {}))


def iteration(run: Run) -> tuple[Trainer, RandomInputs, torch.Tensor]:
    """A trainer of the run's networks with the smallest batch that they allow, its inputs, and real images."""
    discriminator = build_discriminator(run.model.discriminator, run.dataset.resolution)
    generators = [build_generator(run.model.generator) for _ in range(2)]
    batch = 2 * discriminator.group
    sizes = {
        "batch": batch,
        "generator_batch": batch,
        "batch_group": 0,
        "micro_batch": None,
        "n_critic": 1,
        "devices": 1,
    }
    recipe = run.recipe.model_copy(update=sizes)
    trainer = Trainer(recipe, generators[0], discriminator, generators[1], ProcessGroup())
    random_inputs = RandomInputs(RandomStreams(0), recipe, trainer.augmentation, generators[0], discriminator)
    return trainer, random_inputs, torch.zeros(batch, 3, run.dataset.resolution, run.dataset.resolution)


@pytest.mark.parametrize("name", DEMO.runs)
def test_no_training_step_synchronizes(name):
    trainer, random_inputs, real = iteration(DEMO.run(name))
    for _ in range(2):  # the second step reuses what the first one allocated
        with NoSynchronization():
            trainer.training_step(real, random_inputs)
    assert trainer.meter.means()["d_grad_norm"] > 0


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_augmentation_synchronizes(name):
    augmentation = Augmentation([name], 32, 0.5)
    images = torch.zeros(4, 3, 32, 32)
    with NoSynchronization():
        augmentation(images, augmentation.draw(RandomStreams(0), "test", 0, 1, 4, 2)[0])


@pytest.mark.parametrize(
    "wait", [lambda x: x[0].item(), lambda x: bool(x[0] > 0), lambda x: x.new_tensor([1.0]), lambda x: x[x > 0]]
)
def test_synchronization_is_detected(wait):
    x = torch.ones(3)
    with pytest.raises(AssertionError, match="aten"), NoSynchronization():
        wait(x)
