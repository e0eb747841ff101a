"""The measured leak: training is unchanged by measuring; a planted gradient is found with its size and direction."""

import copy
import math

import pytest
import torch

from tests.training.trajectory import Recorded
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.leak_anatomy import MeasuringTrainer


def measuring(recorded):
    generator, discriminator = recorded.nets()
    return MeasuringTrainer(recorded.recipe(), generator, discriminator, copy.deepcopy(generator), ProcessGroup())


def test_measuring_follows_the_authors_recorded_trajectory():
    recorded = Recorded("released")
    trainer = measuring(recorded)
    recorded.check(trainer)
    assert trainer.records
    assert all(record["step"] % trainer.recipe.n_critic == 1 % trainer.recipe.n_critic for record in trainer.records)
    assert all(-1 <= record["cosine"] <= 1 and record["leaked"] > 0 for record in trainer.records)


def test_without_the_leak_there_is_nothing_to_record():
    recorded = Recorded("clean")
    trainer = measuring(recorded)
    recorded.advance(trainer)
    recorded.advance(trainer)
    assert trainer.records == []


def test_a_planted_gradient_is_found():
    recorded = Recorded("released")
    own = recorded.advance(recorded.trainer())["d_grad_norm"]  # nothing leaks into the first step
    trainer = measuring(recorded)
    parameters = list(trainer.discriminator.parameters())
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 2.0)
    recorded.advance(trainer)
    (found,) = trainer.records
    assert found["leaked"] == pytest.approx(2 * math.sqrt(sum(parameter.numel() for parameter in parameters)))
    assert found["own"] == pytest.approx(own, rel=1e-3)
    assert abs(found["cosine"]) < 1
