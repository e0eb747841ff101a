"""The compiled step: each loss is one graph, and the recorded trajectory stays the same."""

import functools

import pytest
import torch

from tests.training.trajectory import Recorded


def test_auto_does_not_compile_on_a_cpu(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    recorded = Recorded("released")
    recorded.advance(recorded.trainer(compile="auto"))


@pytest.mark.slow
def test_compiled_losses_give_the_same_trajectory(monkeypatch):
    # Without code generation, which takes minutes. Tested is that everything is captured and differentiated correctly.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    recorded = Recorded("released")
    recorded.check(recorded.trainer(compile=True))
