"""The compiled step: the losses as whole graphs, with the recorded trajectories as result."""

import functools

import pytest
import torch

from tests.training.trajectory import Recorded


@pytest.mark.slow
def test_the_whole_loss_is_one_graph_with_the_same_trajectory(monkeypatch):
    # Without code generation, which takes minutes: what must hold here is that all is captured and differentiates rightly.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    recorded = Recorded("released")
    recorded.check(recorded.trainer(compile=True))
