"""The compiled step: each loss is one graph, and the recorded trajectory stays the same."""

import functools

import pytest
import torch

from tests.training.trajectory import Recorded


@pytest.mark.slow
def test_compiled_losses_give_the_same_trajectory(monkeypatch):
    # Without code generation, which takes minutes. Tested is that everything is captured and differentiated correctly.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    recorded = Recorded("released")
    recorded.check(recorded.trainer(compile=True))
