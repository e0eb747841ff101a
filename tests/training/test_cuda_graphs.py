"""Training with graphs: the same bits as without, for every kind of step, and after whatever goes wrong.

`OperatorRecorder` records operators of a CPU in place of a GPU's kernels. The tests on a GPU are in test_gpu.py.
"""

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from tests.training import styled
from tests.training.conftest import RUN, digests
from tests.training.recorder import OperatorRecorder
from tests.training.regularizers import test_super_resolution as first_version
from tests.training.test_baselines import AUTOGAN, PENALTY, WGAN_GP
from tests.training.test_baselines import RECIPE as PLAIN
from tests.training.test_loop import crash_at_step
from transgan.config import plan as plans
from transgan.models import build_discriminator, build_generator
from transgan.schema import ModelConfig, RecipeConfig
from transgan.training import cuda_graphs, loop
from transgan.training.cuda_graphs import CudaRecorder, Recorder, StepGraphs, step_graphs
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.training.train import train
from transgan.utils.random import RandomStreams

STEPS = 10
TRANSGAN = {
    "generator": {**first_version.MODEL["generator"], "image_input": False, "locality_band": [], "noise": True},
    "discriminator": {
        "width": 32,
        "patch": 2,
        "stages": [{"share": 0.75, "blocks": [{"depth": 1}]}, {"share": 0.25, "blocks": [{"depth": 1}]}],
    },
}
RELEASED = {
    **PLAIN,
    "d_loss": "wasserstein",
    "g_loss": "wasserstein",
    "regularizers": {**PENALTY, "drift": {"kind": "drift", "weight": 0.001}},
    "augment": ["diffaug_translation", "cutout", "diffaug_color"],
    "batch_group": 4,
    "leak_generator_gradient": True,
    "discriminator": {"lr": 0.001, "clip_norm": 0.5, "schedule": "linear"},
    "generator": {"lr": 0.001, "clip_norm": 0.5, "schedule": "linear"},
}
STYLED = styled.recipe().model_dump()
FIRST_VERSION = first_version.recipe().model_dump()
# name: model, recipe, and how many kinds of work there are
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "released": (TRANSGAN, RELEASED, 3),  # D's step with and without a leaked gradient, G's step
    "micro-batches": (TRANSGAN, {**RELEASED, "micro_batch": 3}, 5),  # and D's mean over groups, likewise
    "recomputed": (TRANSGAN, {**RELEASED, "checkpoint_activations": True}, 3),
    "bfloat16": (TRANSGAN, {**RELEASED, "precision": "bfloat16", "penalty_precision": "bfloat16"}, 3),
    "batch norm": (
        WGAN_GP,
        {
            **PLAIN,
            "regularizers": {"gradient_penalty": {"kind": "gradient_penalty", "weight": 10.0, "interval": 2}},
            "micro_batch": 4,
        },
        3,
    ),
    "spectral norm": (AUTOGAN, PLAIN, 2),
    "stylegan2": (styled.MODEL, STYLED, 4),  # both losses, and R1 and path lengths in steps of their own
    "first version": (  # the locality band and co-training end while it trains
        first_version.MODEL,
        {
            **FIRST_VERSION,
            "regularizers": {
                **FIRST_VERSION["regularizers"],
                "sr": {**FIRST_VERSION["regularizers"]["sr"], "until": 120},
            },
        },
        5,
    ),
}

SLOW = ("micro-batches", "recomputed", "bfloat16")


class Training:
    """Networks of a few thousand parameters, trained by the project's own step, with a graph recorder or without."""

    def __init__(self, name: str, recorder: Callable[[], Recorder] | None = None) -> None:
        torch.manual_seed(0)
        model, recipe = ModelConfig.model_validate(RUNS[name][0]), RecipeConfig.model_validate(RUNS[name][1])
        generator, discriminator = build_generator(model.generator), build_discriminator(model.discriminator, 8)
        self.graphs = None if recorder is None else StepGraphs((generator, discriminator), recorder)
        self.trainer = Trainer(recipe, generator, discriminator, copy.deepcopy(generator), ProcessGroup(), self.graphs)
        self.streams = RandomStreams(0)
        self.random_inputs = RandomInputs(self.streams, recipe, self.trainer.augmentation, generator, discriminator)

    def advance(self, steps: int = 1) -> list[bytes]:
        """Take steps; returns the bits of the state after each."""
        states = []
        for _ in range(steps):
            real = self.streams.normal("real", self.trainer.step, self.trainer.recipe.batch, 3, 8, 8) / 2
            self.trainer.training_step(real, self.random_inputs)
            states.append(bits(self.trainer.state()))
        return states


def bits(state: Any) -> bytes:
    leaves, structure = tree_flatten(state)
    return repr(structure).encode() + b"".join(
        leaf.detach().numpy().tobytes() if isinstance(leaf, Tensor) else repr(leaf).encode() for leaf in leaves
    )


def steps_without_a_warning(training: Training, steps: int, caplog: pytest.LogCaptureFixture) -> list[bytes]:
    states = training.advance(steps)
    assert not caplog.records
    return states


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in RUNS])
def test_every_step_gives_the_same_bits(name: str, caplog: pytest.LogCaptureFixture) -> None:
    steps = 2 * STEPS if name == "first version" else STEPS
    recorders: list[OperatorRecorder] = []

    def recorder() -> OperatorRecorder:
        recorders.append(OperatorRecorder())
        return recorders[-1]

    training = Training(name, recorder)
    assert steps_without_a_warning(training, steps, caplog) == Training(name).advance(steps)
    assert training.graphs is not None
    assert len(recorders) == 1
    assert len(recorders[0].records) >= RUNS[name][2]
    assert 0 <= recorders[0].replays - training.graphs.replays <= len(recorders[0].records)  # each was checked once
    assert training.graphs.replays > steps / 4


@pytest.mark.slow
def test_a_state_with_graphs_continues_without_and_the_other_way_round(caplog: pytest.LogCaptureFixture) -> None:
    expected = Training("released").advance(2 * STEPS)
    for first, second in ((OperatorRecorder, None), (None, OperatorRecorder)):
        training, other = Training("released", first), Training("released", second)
        assert training.advance(STEPS)[-1] == expected[STEPS - 1]
        other.trainer.restore(copy.deepcopy(training.trainer.state()))
        assert steps_without_a_warning(other, STEPS, caplog) == expected[STEPS:]


@pytest.mark.slow
def test_a_restored_state_is_not_mixed_with_graphs_of_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("released", "stylegan2"):  # one leaks a gradient, the other has moving averages of statistics
        expected = Training(name).advance(2 * STEPS)
        training = Training(name, OperatorRecorder)
        training.advance(STEPS + 1)
        state = copy.deepcopy(training.trainer.state())
        training.advance(4)
        training.trainer.restore(state)
        assert steps_without_a_warning(training, STEPS - 1, caplog) == expected[STEPS + 1 :]


class FailingRecorder(OperatorRecorder):
    """Fails to record, having changed gradients and running statistics."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        super().record(work)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nGPU 0 has ...")


class WrongRecorder(OperatorRecorder):
    """Its replays return something else."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        output, replay = super().record(work)

        def wrong() -> None:
            replay()
            output.mul_(1.5)

        return output, wrong


@pytest.mark.parametrize(
    ("recorder", "reason"),
    [
        (FailingRecorder, "recording failed (OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.)"),
        (WrongRecorder, "a replay gave other numbers than the step without graphs"),
    ],
)
@pytest.mark.parametrize("name", ["batch norm", pytest.param("released", marks=pytest.mark.slow), "stylegan2"])
def test_what_fails_costs_one_warning_and_no_bit(
    recorder: type[OperatorRecorder], reason: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    training = Training(name, recorder)
    with caplog.at_level(logging.WARNING):
        assert training.advance(STEPS) == Training(name).advance(STEPS)
    assert [record.getMessage() for record in caplog.records] == [
        f"CUDA graphs: {reason}; training goes on without them, which takes longer"
    ]
    assert training.graphs is not None
    assert training.graphs.replays == 0


def test_a_run_with_graphs_that_crashes_ends_with_the_same_bytes(
    project: Path, uninterrupted: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[StepGraphs] = []

    def graphs(setting: Any, recipe: RecipeConfig, networks: Any, resolution: int, devices: int) -> StepGraphs:
        assert (setting, resolution, devices) == (True, 8, 1)
        found.append(StepGraphs(networks, OperatorRecorder))
        return found[-1]

    monkeypatch.setattr(loop, "step_graphs", graphs)
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("execution:\n", "execution:\n  cuda_graphs: on\n"))
    crash_at_step(monkeypatch, 7)
    train(plans.load(), RUN)
    assert digests(project) == uninterrupted
    assert [graph.replays for graph in found] == [2, 0]  # D's step without a leaked gradient, and G's, came four times
    assert "CUDA graphs" not in caplog.text


class Dot(nn.Module):
    """The sum of weight * x; `count` counts calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.other = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.count.add_(1)
        return (self.weight * x).sum()


def work_of(network: Dot) -> Callable[[Tensor], Tensor]:
    def work(x: Tensor) -> Tensor:
        loss = network(x)
        torch.autograd.backward(loss)
        return loss.detach().view(1)

    return work


@pytest.mark.parametrize("calls", range(1, 7))
def test_gradients_are_added_to_those_that_exist_and_to_no_stale_ones(calls: int) -> None:
    network = Dot()
    graphs = StepGraphs((network,), OperatorRecorder)
    for call in range(1, calls + 1):
        before = torch.full((3,), 100.0 * call)
        network.weight.grad = before.clone()
        assert graphs.run("kind", work_of(network), (torch.arange(3.0) * call,)).tolist() == [3.0 * call]
        assert torch.equal(network.weight.grad, before + torch.arange(3.0) * call)
        network.weight.grad = None
        assert graphs.run("kind", work_of(network), (torch.ones(3) * call,)).tolist() == [3.0 * call]
        assert torch.equal(network.weight.grad, torch.ones(3) * call)
        assert network.other.grad is None
        assert network.count == 2 * call
    assert graphs.replays == 2 * max(0, calls - cuda_graphs.CALLS_TO_RECORD)


def test_a_gradient_of_another_network_stays(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Dot(), Dot()
    graphs = StepGraphs((first, second), OperatorRecorder)
    for call in range(6):
        second.weight.grad = torch.full((3,), float(call))
        first.weight.grad = None
        graphs.run("kind", work_of(first), (torch.ones(3),))
        assert second.weight.grad.tolist() == [call] * 3
    assert graphs.replays == 3
    assert not caplog.records


def test_a_graph_with_a_value_baked_in_is_found(caplog: pytest.LogCaptureFixture) -> None:
    """It is compared on other inputs than those that it was recorded with, so a value of theirs is noticed."""
    network, scale = Dot(), [1.0]

    def work(x: Tensor) -> Tensor:
        return work_of(network)(x * scale[0])  # a number of the host's, which a graph keeps

    graphs = StepGraphs((network,), OperatorRecorder)
    for call in range(5):
        scale[0] = float(call)
        network.weight.grad = None
        assert graphs.run("kind", work, (torch.ones(3),)).tolist() == [3.0 * call]
        assert network.weight.grad.tolist() == [call] * 3
    assert "a replay gave other numbers" in caplog.text


def test_a_gradient_that_is_not_a_number_is_no_agreement(caplog: pytest.LogCaptureFixture) -> None:
    network = Dot()
    graphs = StepGraphs((network,), OperatorRecorder)
    for _ in range(3):
        graphs.run("kind", work_of(network), (torch.full((3,), torch.nan),))
        network.weight.grad = None
    assert "a replay gave other numbers" in caplog.text


def test_work_that_draws_random_numbers_gets_no_graph(caplog: pytest.LogCaptureFixture) -> None:
    network = Dot()
    graphs = StepGraphs((network,), OperatorRecorder)
    torch.manual_seed(0)
    expected = [float(torch.randn(3).sum()) for _ in range(5)]
    torch.manual_seed(0)
    found = [
        float(graphs.run("kind", lambda x: work_of(network)(x * torch.randn(3)), (torch.ones(3),))) for _ in "12345"
    ]
    assert found == pytest.approx(expected)
    assert "a step draws random numbers of its own" in caplog.text


def test_rounding_is_no_difference_and_a_wrong_small_tensor_is_one() -> None:
    large, small = torch.randn(1000), 0.1 * torch.randn(10)
    noise = 1e-5 * torch.randn(10)
    assert cuda_graphs._relative_difference([large, small + noise], [large, small]) < cuda_graphs.TOLERANCE
    assert cuda_graphs._relative_difference([large, 0 * small], [large, small]) > cuda_graphs.TOLERANCE
    assert cuda_graphs._relative_difference([], []) == 0
    # The gradient of what has none is rounding alone.
    assert cuda_graphs._relative_difference([large, noise], [large, -noise]) < cuda_graphs.TOLERANCE


class OnAGpu(nn.Linear):
    """A network that says it is on a GPU."""

    def parameters(self, recurse: bool = True) -> Any:
        yield type("Parameter", (), {"device": torch.device("cuda", 0)})()


@pytest.mark.parametrize(
    ("setting", "changes", "resolution", "devices", "expected"),
    [
        ("auto", {"batch": 64, "generator_batch": 128}, 32, 8, True),
        ("auto", {"batch": 64, "generator_batch": 128}, 32, 4, True),
        ("auto", {"batch": 64, "generator_batch": 128}, 32, 2, False),
        ("auto", {"batch": 64, "generator_batch": 128, "micro_batch": 32}, 32, 1, True),
        ("auto", {"batch": 8, "generator_batch": 8}, 256, 1, False),
        (True, {"batch": 8, "generator_batch": 8}, 256, 1, True),
        (False, {"batch": 8, "generator_batch": 8}, 8, 1, False),
    ],
)
def test_auto_uses_graphs_for_small_forward_passes(
    setting: Any,
    changes: dict[str, int],
    resolution: int,
    devices: int,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = RecipeConfig.model_validate({**PLAIN, **changes})
    created: list[Any] = []
    monkeypatch.setattr(cuda_graphs, "StepGraphs", lambda *arguments: created.append(arguments) or arguments)
    graphs = step_graphs(setting, recipe, (OnAGpu(1, 1),), resolution, devices)
    assert (graphs is not None) == bool(created) == expected
    assert step_graphs(True, recipe, (nn.Linear(1, 1),), resolution, devices) is None  # not on a CPU


def test_the_recorder_of_a_gpu_warms_up_and_records_on_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of torch.cuda, in which order. Whether a GPU does it: tests/training/test_gpu.py."""
    calls: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: "Stream") -> None:
            calls.append(f"{self.name} waits for {other.name}")

    class Inside:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            calls.append(f"enter {self.name}")

        def __exit__(self, *_: object) -> None:
            calls.append(f"leave {self.name}")

    class Graph:
        def replay(self) -> None:
            calls.append("replay")

    def graph(recorded: Graph, pool: str, stream: Stream, capture_error_mode: str) -> Inside:
        return Inside(f"graph in {pool} on {stream.name}, {capture_error_mode}")

    for name, value in {
        "graph_pool_handle": lambda: "pool",
        "Stream": lambda device: Stream("side"),
        "current_stream": lambda device: Stream("main"),
        "stream": lambda stream: Inside(f"stream {stream.name}"),
        "CUDAGraph": Graph,
        "graph": graph,
        "synchronize": lambda device: calls.append("synchronize"),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    recorder = CudaRecorder(torch.device("cuda", 0))
    result = torch.ones(1)

    def work() -> Tensor:
        calls.append("work")
        return result

    recorder.warm_up(work)
    output, replay = recorder.record(work)
    replay()
    recorder.close()
    assert output is result
    assert calls == [
        *("side waits for main", "enter stream side", *["work"] * cuda_graphs.WARM_UPS, "leave stream side"),
        "main waits for side",
        *("enter graph in pool on side, thread_local", "work", "leave graph in pool on side, thread_local"),
        *("replay", "synchronize"),
    ]
