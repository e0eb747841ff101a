"""Training StyleGAN2 with R1 and path length: steps, checkpoints, precision, processes and whole runs."""

import copy
import functools
import json
import os

import pytest
import torch
import yaml

from tests.training.conftest import RUN, digests
from tests.training.distributed.test_process_group import free_port
from tests.training.styled import MODEL, Training, recipe
from tests.training.test_loop import crash_at_step
from transgan.config import plan as plans
from transgan.cost.estimate import estimate
from transgan.errors import UserError
from transgan.training.distributed.process_group import init_process_group
from transgan.training.train import train


def test_micro_batches_give_the_same_trajectory_and_must_not_split_groups():
    whole, parts = Training(), Training(micro_batch=4)
    for _ in range(3):
        one, other = whole.advance(), parts.advance()
        assert other == pytest.approx(one, rel=1e-3, abs=1e-4)
    torch.testing.assert_close(
        parts.trainer.regularizer_state["path"]["mean"], whole.trainer.regularizer_state["path"]["mean"]
    )
    with pytest.raises(UserError, match="in groups of 2"):
        Training(micro_batch=3, regularizers={}).advance()


def test_path_lengths_stay_in_float32_with_bfloat16():
    full, half = Training(), Training(precision="bfloat16")
    one, other = full.advance(), half.advance()
    for name in ("path", "path_mean", "r1"):  # one step in another precision hardly moves the weights
        assert other[name] == pytest.approx(one[name], rel=0.05), name
    assert other["d_loss"] == pytest.approx(one["d_loss"], rel=0.02)
    assert half.trainer.regularizer_state["path"]["mean"].dtype == torch.float32
    parameters = [*half.trainer.generator.parameters(), *half.trainer.discriminator.parameters()]
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in parameters)


def test_recomputed_activations_give_the_same_trajectory():
    plain, recomputed = Training(), Training(checkpoint_activations=True)
    for _ in range(2):
        assert recomputed.advance() == pytest.approx(plain.advance(), rel=1e-4, abs=1e-5)


def test_restoring_a_state_gives_the_same_bits(tmp_path):
    uninterrupted, stopped = Training(), Training()
    uninterrupted.advance(5)
    stopped.advance(3)
    torch.save(stopped.trainer.state(), tmp_path / "state.pt")
    resumed = Training()
    with torch.no_grad():  # the initial weights must not matter
        for parameter in [*resumed.trainer.generator.parameters(), *resumed.trainer.discriminator.parameters()]:
            parameter.zero_()
    resumed.trainer.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.trainer.regularizer_state["path"]["mean"] > 0
    resumed.advance(2)
    for name in ("generator", "discriminator", "average", "regularizers"):
        expected, restored = uninterrupted.trainer.state()[name], resumed.trainer.state()[name]
        assert expected.keys() == restored.keys()
        for key, value in expected.items():
            assert value == restored[key] if isinstance(value, dict) else torch.equal(value, restored[key]), (name, key)


def styled_project(project) -> None:
    """Let the project's run train a StyleGAN2."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["models"]["small"] = MODEL
    kept = {
        key: params["recipes"]["short"][key]
        for key in ("images", "batch", "generator_batch", "log_images", "dynamics", "threads", "flip")
    }
    params["recipes"]["short"] = {**recipe().plain(), **kept}
    (project / "params.yaml").write_text(yaml.safe_dump(params))


def test_a_crashed_run_resumes_to_the_same_bytes(project, monkeypatch):
    styled_project(project)
    train(plans.load(), RUN)
    expected = digests(project)
    run = json.loads((project / "results/tiny/runs" / RUN / "run.json").read_text())
    assert run["last"]["path_mean"] > 0
    header = (project / "results/tiny/runs" / RUN / "history.csv").read_text().splitlines()[0].split(",")
    assert {"r1", "path", "path_mean"} <= set(header)
    other = project / "again"
    other.mkdir()
    for name in ("data", "params.yaml"):
        (other / name).symlink_to(project / name)
    monkeypatch.chdir(other)
    crash_at_step(monkeypatch, 4)
    train(plans.load(), RUN)
    assert digests(other) == expected


def test_the_estimate_includes_the_regularizers(project):
    styled_project(project)
    run = plans.load().run(RUN)
    whole = estimate(run)

    def without(*names: str) -> float:
        terms = {name: value for name, value in run.recipe.regularizers.items() if name not in names}
        return estimate(
            run.model_copy(update={"recipe": run.recipe.model_copy(update={"regularizers": terms})})
        ).gflop_per_image

    assert whole.generator_parameters == sum(p.numel() for p in Training().trainer.generator.parameters())
    extra = [whole.gflop_per_image - without(name) for name in ("r1", "path")]
    assert min(extra) > 0
    assert sum(extra) == pytest.approx(whole.gflop_per_image - without("r1", "path"))
    assert whole.memory_gib > 0


def replay(rank: int, count: int, port: int, expected: dict) -> None:

    torch.set_num_threads(1)
    os.environ.update(WORLD_SIZE=str(count), RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    process_group = init_process_group("cpu")
    training = Training(process_group)
    training.advance(3)
    torch.testing.assert_close(
        training.trainer.regularizer_state["path"]["mean"], expected["regularizers"]["path"]["mean"], atol=0, rtol=1e-5
    )
    means = process_group.all_gather_rows(training.trainer.regularizer_state["path"]["mean"].view(1))
    assert means.unique().numel() == 1  # the same bits in every process
    for name, value in expected["average"].items():
        torch.testing.assert_close(training.trainer.generator_ema.state_dict()[name], value, atol=1e-3, rtol=0)
    process_group.close()


@pytest.mark.slow
def test_two_processes_have_the_average_path_length_of_one():
    alone = Training()
    alone.advance(3)
    torch.multiprocessing.spawn(replay, (2, free_port(), copy.deepcopy(alone.trainer.state())), nprocs=2)


@pytest.mark.slow
def test_compiled_updates_give_the_same_trajectory(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, compiled = Training(), Training(compile=True)
    for _ in range(3):
        one, other = plain.advance(), compiled.advance()
        assert other == pytest.approx(one, rel=1e-3, abs=1e-4)
