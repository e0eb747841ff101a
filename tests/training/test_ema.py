"""The decay and the update of the moving average."""

import copy

import pytest
import torch
from torch import nn

from transgan.schema.recipe import EmaConfig
from transgan.training.ema import ema_beta, update_ema


def test_ema_beta_as_released_and_as_intended():
    released = EmaConfig(kimg=500, warmup=0.1)
    assert ema_beta(released, 64, 4, 0) == 0
    assert ema_beta(released, 64, 4, 6400) == pytest.approx(0.5 ** (64 / 640))
    assert ema_beta(released, 64, 4, 10**9) == pytest.approx(0.999911, abs=1e-6)
    intended = EmaConfig(kimg=500, warmup=0.1, semantics="intended")
    assert ema_beta(intended, 64, 4, 10**9) == pytest.approx(ema_beta(released, 64, 4, 10**9) ** 4)
    assert ema_beta(EmaConfig(beta=0.995), 64, 4, 0) == 0.995
    assert ema_beta(EmaConfig(kimg=1), 500, 1, 0) == pytest.approx(0.5**0.5)


def test_ema_averages_parameters_and_copies_buffers():
    module = nn.BatchNorm1d(3)
    average = copy.deepcopy(module)
    with torch.no_grad():
        module.weight.fill_(3.0)
        module.running_mean.fill_(7.0)
    update_ema(average, module, 0.75)
    assert average.weight.tolist() == [1.5] * 3
    assert average.running_mean.tolist() == [7.0] * 3
