"""How float32 is computed: as such in every stage, unless a recipe says otherwise."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from transgan.config import plan as plans
from transgan.hardware.device import prepare_compute, set_precision
from transgan.metrics import evaluator, weights
from transgan.scoring import reference
from transgan.training.snapshot_fid import small_fid


@pytest.fixture(autouse=True)
def as_before():
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions


def rounds() -> tuple[bool, bool]:
    """Whether a GPU may round the inputs of float32 products, and of convolutions."""
    return torch.get_float32_matmul_precision() != "highest", torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("precision", "rounded"), [("float32", False), ("tf32", True), ("bfloat16", True)])
def test_products_and_convolutions_are_computed_alike(precision, rounded):
    set_precision(precision)
    assert rounds() == (rounded, rounded)


def test_stages_compute_in_float32():
    set_precision("tf32")
    prepare_compute(1, "cpu")
    assert rounds() == (False, False)


def test_training_goes_on_in_its_precision_after_a_small_fid(monkeypatch):
    run = plans.load(scale="quick").run("transgan-cifar10")
    recipe = run.recipe.model_copy(update={"dynamics": run.recipe.dynamics.model_copy(update={"fid_samples": 10})})
    run = SimpleNamespace(
        name=run.name,
        recipe=recipe,
        protocol=run.protocol,
        protocol_name=run.protocol_name,
        dataset_name=run.dataset_name,
    )
    plan = SimpleNamespace(paths=SimpleNamespace(reference=lambda *_: None))
    during = []

    def measured(_, protocol, *__):
        prepare_compute(protocol.threads, "cpu")
        during.append(rounds())
        return {"metrics": {"fid": {"values": [3.0]}}}

    monkeypatch.setattr(weights, "locate", lambda *_: (None, None))
    monkeypatch.setattr(reference, "load", lambda *_: None)
    monkeypatch.setattr(evaluator, "measure", measured)
    set_precision(recipe.precision)
    assert small_fid(plan, run)(nn.Identity()) == 3.0
    assert during == [(False, False)]
    assert rounds() == (True, True)
