"""The training step: the authors' trajectories, and the same result however a batch is split."""

import pytest
import torch

from tests.training.trajectory import Recorded

NAMES = ["released", "clean"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", NAMES)
def test_released_and_clean_trajectories(name):
    recorded = Recorded(name)
    recorded.check(recorded.trainer())


@pytest.mark.parametrize("micro_batch", [3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_accumulated_trajectory_is_the_same(name, micro_batch):
    recorded = Recorded(name)
    recorded.check(recorded.trainer(micro_batch=micro_batch))


def test_recomputed_activations_give_the_same_trajectory():
    recorded = Recorded("released")
    recorded.check(recorded.trainer(checkpoint_activations=True))


def test_the_leak_is_what_tells_the_trajectories_apart():
    recorded = Recorded("released")
    with pytest.raises(AssertionError):
        recorded.check(recorded.trainer(leak_generator_gradient=False))
