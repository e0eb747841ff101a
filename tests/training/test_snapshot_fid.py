"""The small-n FID along training: computed in float32 on the run's device; training keeps its own settings."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from transgan.config import plan as plans
from transgan.hardware.device import set_precision
from transgan.metrics import evaluator, reference_statistics, weights
from transgan.training.snapshot_fid import small_fid

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def same_settings_afterwards():
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions


def run_with(fid_samples: int) -> Any:
    run = plans.load(scale="quick").run("transgan-cifar10")
    dynamics = run.recipe.dynamics.model_copy(update={"fid_samples": fid_samples})
    return run.model_copy(update={"recipe": run.recipe.model_copy(update={"dynamics": dynamics})})


def settings() -> tuple[int, bool, bool]:
    """CPU threads, and whether a GPU may use TF32 for matrix products and for convolutions."""
    tf32 = torch.get_float32_matmul_precision() != "highest"
    return torch.get_num_threads(), tf32, torch.backends.cudnn.allow_tf32


def test_small_fid_computes_in_float32_and_restores_the_precision_of_training(monkeypatch):
    run = run_with(fid_samples=10)
    plan = SimpleNamespace(paths=SimpleNamespace(reference=lambda *_: None))
    calls = []

    def evaluate_sources(sources, reference, protocol, weights_file, device, label):
        calls.append((settings(), [source.count for source in sources], protocol.metrics, device))
        return {"metrics": {"fid": {"values": [3.0]}}}

    monkeypatch.setattr(weights, "locate", lambda *_: (None, None))
    monkeypatch.setattr(reference_statistics, "load_reference", lambda *_: None)
    monkeypatch.setattr(evaluator, "evaluate_sources", evaluate_sources)
    set_precision("bfloat16")
    threads = torch.get_num_threads()
    fid = small_fid(plan, run, CPU)
    assert fid is not None
    assert fid(nn.Identity()) == 3.0
    assert calls == [((threads, False, False), [10], ("fid",), CPU)]
    assert settings() == (threads, True, True)


def test_a_recipe_without_small_fid_has_none():
    plan = plans.load(scale="quick")
    assert small_fid(plan, run_with(fid_samples=0), CPU) is None
