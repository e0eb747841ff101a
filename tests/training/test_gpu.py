"""Training on a GPU: the recorded trajectories in every precision, no synchronization in a step, and whole runs."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import RUN
from tests.training.test_loop import crash_at_step
from tests.training.trajectory import Recorded
from transgan.config import plan as plans
from transgan.data.pack import Pack
from transgan.hardware.device import set_precision
from transgan.models import build_discriminator, build_generator
from transgan.training.cuda_graphs import step_graphs
from transgan.training.data_loader import ImageLoader
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.training.train import train
from transgan.utils.random import RandomStreams

pytestmark = pytest.mark.gpu
DEVICE = "cuda"
NAMES = ["released", "clean"]
OUTLIERS = 1e-3  # share of the weights whose gradients are so small that their signs follow from the order of sums


@pytest.fixture(autouse=True)
def float32() -> Iterator[None]:
    set_precision("float32")
    yield
    set_precision("float32")


@pytest.mark.parametrize("changes", [{}, {"micro_batch": 4}, {"checkpoint_activations": True}])
@pytest.mark.parametrize("name", NAMES)
def test_float32_gives_the_recorded_trajectory(name, changes):
    recorded = Recorded(name, DEVICE)
    recorded.check(recorded.trainer(**changes), outliers=OUTLIERS)


@pytest.mark.slow
def test_compiled_float32_gives_the_recorded_trajectory():
    recorded = Recorded("released", DEVICE)
    recorded.check(recorded.trainer(compile=True), outliers=OUTLIERS)


@pytest.mark.slow
@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 0.01), ("bfloat16", 0.02)])
def test_lower_precision_stays_near(precision, tolerance, compile):
    recorded = Recorded("clean", DEVICE)
    set_precision(precision)
    trainer = recorded.trainer(precision=precision, compile=compile)
    measured = [recorded.advance(trainer) for _ in range(2)]
    assert [row["d_loss"] for row in measured] == pytest.approx(recorded.arrays["d_loss"][:2].tolist(), rel=tolerance)
    assert {
        parameter.dtype for net in (trainer.generator, trainer.generator_ema) for parameter in net.parameters()
    } == {torch.float32}


def use_graphs(trainer: Trainer) -> None:
    networks = (trainer.generator, trainer.discriminator)
    trainer.graphs = step_graphs(True, trainer.recipe, networks, trainer.generator.resolution, 1)


@pytest.mark.parametrize("changes", [{}, {"micro_batch": 4}, {"checkpoint_activations": True}])
@pytest.mark.parametrize("name", NAMES)
def test_graphs_give_the_recorded_trajectory(name, changes, caplog):
    recorded = Recorded(name, DEVICE)
    trainer = recorded.trainer(**changes)
    use_graphs(trainer)
    recorded.check(trainer, outliers=OUTLIERS)
    assert trainer.graphs.replays > 0
    assert not caplog.records


@pytest.mark.slow
def test_graphs_of_compiled_losses_give_the_recorded_trajectory(caplog):
    recorded = Recorded("released", DEVICE)
    trainer = recorded.trainer(compile=True)
    use_graphs(trainer)
    recorded.check(trainer, outliers=OUTLIERS)
    assert trainer.graphs.replays > 0
    assert not caplog.records


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize(
    "name", ["transgan-cifar10", "released-celebahq256", "wgan-gp-cifar10", "autogan-cifar10", "stylegan2-cifar10"]
)
def test_no_step_synchronizes(name, resident, graphs, caplog):
    run = plans.load(scale="demo").run(name)
    streams, side = RandomStreams(0, DEVICE), run.dataset.resolution
    generator, average = (build_generator(run.model.generator).to(DEVICE) for _ in range(2))
    discriminator = build_discriminator(run.model.discriminator, side).to(DEVICE)
    trainer = Trainer(run.recipe, generator, discriminator, average, ProcessGroup())
    random_inputs = RandomInputs(streams, run.recipe, trainer.augmentation, generator, discriminator)
    images = np.random.default_rng(0).integers(0, 256, (200, side, side, 3), dtype=np.uint8)
    pack = Pack(images, np.full(200, -1), {"splits": {"train": [0, 200]}})
    loader = ImageLoader(pack, ("train",), run.recipe.batch, True, streams, ProcessGroup(), resident)
    # The first steps allocate memory, or record and check graphs, which may synchronize. In a cycle every kind of step
    # comes, but for the very first, which has no leaked gradient.
    cycle = math.lcm(run.recipe.n_critic, *(term.interval for term in run.recipe.regularizers.values()))
    first = 3 * cycle + 1 if graphs else 2
    if graphs:
        use_graphs(trainer)
    for step in range(first + run.recipe.n_critic):
        torch.cuda.set_sync_debug_mode("error" if step >= first else "default")
        try:
            trainer.training_step(loader.batch(step), random_inputs)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    loader.close()
    assert all(np.isfinite(value) for value in trainer.meter.means().values())
    assert not caplog.records
    assert not graphs or trainer.graphs.replays >= run.recipe.n_critic


@pytest.mark.parametrize("resident", [False, True])
def test_batches_are_the_same_as_on_a_cpu(resident):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    pack = Pack(images, np.full(40, -1), {"splits": {"train": [0, 40]}})
    here, there = (
        ImageLoader(pack, ("train",), 16, False, RandomStreams(3, device), ProcessGroup(), resident)
        for device in ("cpu", DEVICE)
    )
    for step in range(6):
        assert torch.equal(there.batch(step).cpu(), here.batch(step))
    for each in (here, there):
        each.close()


def test_a_state_saved_on_a_gpu_is_restored_on_a_cpu(tmp_path):
    there, here = Recorded("released", DEVICE), Recorded("released")
    trainer = there.trainer()
    there.advance(trainer)
    torch.save(trainer.state(), tmp_path / "state.pt")
    other = here.trainer()
    other.restore(torch.load(tmp_path / "state.pt", map_location="cpu", weights_only=True))
    assert here.advance(other)["d_loss"] == pytest.approx(there.advance(trainer)["d_loss"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("graphs", ["true", "false"])
def test_a_crashed_run_resumes_on_a_gpu(graphs, project, monkeypatch):
    params = Path("params.yaml")
    execution = f"device: {DEVICE}\n  cuda_graphs: {graphs}"
    params.write_text(params.read_text().replace("device: cpu", execution))
    crash_at_step(monkeypatch, 3)
    train(plans.load(), RUN)
    results = project / "results/tiny/runs" / RUN
    rows = np.genfromtxt(results / "history.csv", delimiter=",", names=True)
    assert rows["images"].tolist() == [32, 64, 96, 128]
    assert np.isfinite(rows["d_loss"]).all()
    assert {"generator.safetensors", "dynamics.npz", "samples.png"} <= {path.name for path in results.iterdir()}
