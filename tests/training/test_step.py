"""The training step: the authors' recorded trajectories, whatever the micro-batch, kernels and precision."""

import numpy as np
import pytest
import torch

from tests.training.trajectory import Recorded
from transgan.models.kernels import double_backward_attention

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


@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_for_large_attention_gives_the_same_trajectory(name, monkeypatch):
    monkeypatch.setattr(double_backward_attention, "MIN_FLOPS", 0)
    recorded = Recorded(name)
    recorded.check(recorded.trainer())


def test_the_gradient_leak_distinguishes_the_trajectories():
    recorded = Recorded("released")
    with pytest.raises(AssertionError):
        recorded.check(recorded.trainer(leak_generator_gradient=False))


def test_bfloat16_keeps_weights_and_losses_in_float32():
    recorded = Recorded("clean")
    trainer = recorded.trainer(precision="bfloat16")
    measured = recorded.advance(trainer)
    assert measured["d_loss"] == pytest.approx(float(recorded.arrays["d_loss"][0]), rel=0.02)
    for net in (trainer.generator, trainer.discriminator, trainer.generator_ema):
        assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}


@pytest.mark.parametrize("min_flops", [double_backward_attention.MIN_FLOPS, 0], ids=["products", "kernel"])
def test_a_penalty_in_bfloat16_stays_near_the_recorded_trajectory(min_flops, monkeypatch):
    """Losses and penalties within 0.2%; weights end within 5% of the distance that they moved."""
    monkeypatch.setattr(double_backward_attention, "MIN_FLOPS", min_flops)
    recorded = Recorded("clean")
    trainer = recorded.trainer(penalty_precision="bfloat16")
    rows = [recorded.advance(trainer) for _ in range(recorded.steps)]
    for key in ("gradient_penalty", "d_loss"):
        values = [row[key] for row in rows]
        np.testing.assert_allclose(values, recorded.arrays[key], rtol=2e-3)
        assert np.abs(values / recorded.arrays[key] - 1).max() > 1e-5  # it is not computed in float32
    for name in ("generator", "discriminator"):
        module = getattr(trainer, name)
        state = module.state_dict()
        initial, final = (recorded.state(when, name, module) for when in ("initial", "final"))
        missed, moved = (
            sum((other[key] - final[key]).square().sum() for key in final).sqrt() for other in (state, initial)
        )
        assert missed < 0.05 * moved
        assert {value.dtype for value in state.values()} == {torch.float32}


def test_linear_schedule_reaches_zero_at_the_end_of_training():
    recorded = Recorded("clean")
    trainer = recorded.trainer(
        generator={"lr": 0.1, "schedule": "linear"}, discriminator={"lr": 0.1, "schedule": "linear"}
    )
    rates = []
    for _ in range(3):
        recorded.advance(trainer)
        rates.append((trainer.d_optimizer.param_groups[0]["lr"], trainer.g_optimizer.param_groups[0]["lr"]))
    assert rates == [
        (0.1, 0.1),
        (pytest.approx(0.1 * 5 / 6), 0.1),
        (pytest.approx(0.1 * 4 / 6), pytest.approx(0.1 * 4 / 6)),
    ]


def test_regularizers_are_due_at_their_interval_and_weighted_by_it():
    recorded = Recorded("clean")
    penalty = {"gradient_penalty": {"kind": "gradient_penalty", "weight": 2.0, "interval": 2}}
    trainer = recorded.trainer(regularizers=penalty, d_loss="hinge", g_loss="non_saturating")
    rows = [recorded.advance(trainer) for _ in range(3)]
    assert ["gradient_penalty" in row for row in rows] == [True, False, True]
    assert rows[0]["d_loss"] - 2 * 2 * rows[0]["gradient_penalty"] == pytest.approx(
        2, abs=0.3
    )  # hinge of logits near 0


def test_compiling_recomputed_blocks_is_refused():
    with pytest.raises(ValueError, match="exclude each other"):
        Recorded("clean").recipe(compile=True, checkpoint_activations=True)
