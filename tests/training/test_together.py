"""Several processes on a CPU: the recorded trajectories, and a run of the product that changes its number of processes on the way."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.training.conftest import RUN, digests
from tests.training.trajectory import Recorded
from transgan import plan as plans
from transgan.compute import lease
from transgan.training.checkpoint import Checkpoints
from transgan.training.loop import train
from transgan.training.processes import Processes, join
from transgan.training.session import Session

STEP = 1e-4  # final weights of runs that are equal but for rounding


def replay(rank: int, count: int, port: int, name: str, changes: dict) -> None:
    torch.set_num_threads(1)
    os.environ.update(WORLD_SIZE=str(count), RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    processes = join("cpu")
    recorded = Recorded(name)
    recorded.check(recorded.trainer(processes, **changes))
    processes.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_rows_of_all_processes_are_the_batch():
    rows = [Processes(rank, 3).rows(12) for rank in range(3)]
    assert [list(range(12))[part] for part in rows] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_every_process_takes_a_gpu_of_its_own(tmp_path, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr("transgan.compute._leases", {})
    with FileLock(tmp_path / "first.lock"):
        assert lease(["first", "second"], tmp_path) == 1
        assert lease(["first", "second"], tmp_path) == 1  # asked again, it stays
    monkeypatch.setattr("transgan.compute._leases", {})
    with FileLock(tmp_path / "only.lock"):
        assert lease(["only"], tmp_path) == 0  # shared


@pytest.mark.slow
@pytest.mark.parametrize("name", ["released", "clean"])
def test_two_processes_follow_the_recorded_trajectory(name):
    # The drift is over the whole batch, which the processes share: its mean takes a pass of its own.
    torch.multiprocessing.spawn(replay, (2, free_port(), name, {}), nprocs=2)


@pytest.mark.slow
def test_a_run_in_two_processes_is_the_run_in_one_and_can_be_gone_on_with_in_one(project):
    train(plans.load(), RUN)
    alone = history(project)
    text = (project / "params.yaml").read_text().replace("    batch: 16\n", "    batch: 16\n    devices: 2\n")
    (project / "params.yaml").write_text(text)
    plan = plans.load()
    train(plan, RUN)
    np.testing.assert_allclose(history(project), alone, rtol=1e-3, atol=1e-4)
    folder = plan.paths.workspace("train", RUN, plan.fingerprint("train", RUN))
    together = Checkpoints(folder, plan.fingerprint("train", RUN), 2).load()
    for name in ("json", "pt"):
        (folder / f"checkpoint-000000000128.{name}").unlink()
    Session(plan, RUN, folder).run()
    gone_on = Checkpoints(folder, plan.fingerprint("train", RUN), 2).load()
    for key, value in together["trainer"]["average"].items():
        torch.testing.assert_close(gone_on["trainer"]["average"][key], value, rtol=0, atol=STEP)


@pytest.mark.slow
def test_torchrun_gives_the_bytes_of_the_command_s_own_processes(project):
    """The same two processes, started by torchrun; a second torchrun finds the run finished."""
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("    batch: 16\n", "    batch: 16\n    devices: 2\n"))
    train(plans.load(), RUN)
    own = digests(project)
    for folder in ("results/tiny/runs", "state/tiny/train"):
        shutil.rmtree(project / folder)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "transgan", "train", RUN]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    first = subprocess.run(torchrun, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert first.returncode == 0, first.stderr
    assert digests(project) == own
    made = (project / "results/tiny/runs" / RUN / "run.json").stat().st_mtime_ns
    subprocess.run(torchrun, cwd=project, env=environment, capture_output=True, timeout=300, check=True)
    assert (project / "results/tiny/runs" / RUN / "run.json").stat().st_mtime_ns == made


def history(project: Path) -> np.ndarray:
    return np.genfromtxt(project / "results/tiny/runs" / RUN / "history.csv", delimiter=",", skip_header=1)
