"""Several processes on a CPU: the recorded trajectories, and a run of the product that changes its number of processes on the way."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.training.conftest import RUN, digests
from tests.training.trajectory import Recorded
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.schema.params import ExecutionConfig
from transgan.training.checkpoint import Checkpoints
from transgan.training.distributed.launch import most_processes, start_processes
from transgan.training.distributed.process_group import ProcessGroup, init_process_group
from transgan.training.loop import TrainingLoop, _check_processes
from transgan.training.train import train

STEP = 1e-4  # final weights of runs that are equal but for rounding


def replay(rank: int, count: int, port: int, name: str, changes: dict) -> None:
    torch.set_num_threads(1)
    os.environ.update(WORLD_SIZE=str(count), RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    process_group = init_process_group("cpu")
    recorded = Recorded(name)
    recorded.check(recorded.trainer(process_group, **changes))
    process_group.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_rows_of_all_processes_are_the_batch():
    rows = [ProcessGroup(rank, 3).rows(12) for rank in range(3)]
    assert [list(range(12))[part] for part in rows] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_a_batch_that_does_not_divide_among_the_processes_is_refused(project):
    recipe = plans.load().run(RUN).recipe
    _check_processes(ProcessGroup(0, 2), recipe, torch.device("cpu"))
    with pytest.raises(UserError, match=r"recipe.batch: \d+ does not divide among 3 processes"):
        _check_processes(ProcessGroup(0, 3), recipe, torch.device("cpu"))
    assert [most_processes(recipe, available) for available in (1, 2, 3)] == [1, 2, 2]


def test_the_main_clock_says_when_to_save():
    assert not TrainingLoop._checkpoint_due(SimpleNamespace(process_group=ProcessGroup(1, 2), saved_at=-1e9))
    assert TrainingLoop._checkpoint_due(
        SimpleNamespace(
            process_group=ProcessGroup(0, 2),
            saved_at=-1e9,
            plan=SimpleNamespace(params=SimpleNamespace(execution=ExecutionConfig())),
        )
    )


class Workers:
    """What start_processes starts, replaced by shell commands, one for each rank."""

    def __init__(self, *commands: str) -> None:
        self.commands = commands
        self.environments: list[dict[str, str]] = []

    def __call__(self, arguments: list[str], env: dict[str, str], start_new_session: bool) -> subprocess.Popen:
        self.environments.append(env)
        return self.popen(["sh", "-c", self.commands[int(env["RANK"])]], start_new_session=start_new_session)

    popen = subprocess.Popen


@pytest.fixture
def together(project, tmp_path, monkeypatch):
    """start_processes for two processes that run the given commands; returns the exit code and what they were started with."""
    monkeypatch.setattr("transgan.training.distributed.launch.GRACE_SECONDS", 0.2)
    monkeypatch.setattr("transgan.training.distributed.launch.device_type", lambda plan: "cpu")
    plan = plans.load()
    run = plan.run(RUN)
    monkeypatch.setitem(plan.runs, RUN, run.model_copy(update={"recipe": run.recipe.model_copy(update={"devices": 2})}))

    def start(*commands: str) -> tuple[int, Workers]:
        workers = Workers(*commands)
        monkeypatch.setattr("transgan.training.distributed.launch.subprocess.Popen", workers)
        try:
            start_processes(plan, RUN, tmp_path)
        except SystemExit as end:
            return int(end.code), workers
        return 0, workers

    return start


def test_any_process_that_fails_ends_the_others(together, capsys):
    assert together("exec sleep 60", "exit 3")[0] == 3
    assert "a process failed (exit code 3); the 1 that wait for it are killed" in capsys.readouterr().err
    assert together("exit 3", "exec sleep 60")[0] == 3
    assert together("exit 0", "exit 0")[0] == 0


def test_one_that_left_when_told_to_does_not_hurry_another_that_saves(together, tmp_path):
    saving = f"trap 'sleep 1; echo saved > {tmp_path}/saved; exit 143' TERM; touch {tmp_path}/ready; while true; do sleep 0.05; done"
    told = f"while [ ! -e {tmp_path}/ready ]; do sleep 0.05; done; kill -TERM {os.getpid()}; exec sleep 60"
    assert together(saving, told)[0] == 143
    assert (tmp_path / "saved").exists()


def test_what_torchrun_told_this_process_alone_is_not_passed_on(together, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    code, workers = together("exit 0", "exit 0")
    assert code == 0
    assert [env["RANK"] for env in workers.environments] == ["0", "1"]
    assert not any(key.startswith("TORCHELASTIC_") for env in workers.environments for key in env)


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
    TrainingLoop(plan, RUN, folder).train()
    gone_on = Checkpoints(folder, plan.fingerprint("train", RUN), 2).load()
    for key, value in together["trainer"]["average"].items():
        torch.testing.assert_close(gone_on["trainer"]["average"][key], value, rtol=0, atol=STEP)


@pytest.mark.slow
def test_torchrun_gives_the_bytes_of_the_command_s_own_processes(project):
    """The same two processes, started by torchrun; a second torchrun finds the run finished."""
    (project / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("    batch: 16\n", "    batch: 16\n    devices: 2\n")
    )
    train(plans.load(), RUN)
    own = digests(project)
    for folder in ("results/tiny/runs", "state/tiny/train"):
        shutil.rmtree(project / folder)
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "transgan",
        "train",
        RUN,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    first = subprocess.run(
        torchrun, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert first.returncode == 0, first.stderr
    assert digests(project) == own
    made = (project / "results/tiny/runs" / RUN / "run.json").stat().st_mtime_ns
    subprocess.run(torchrun, cwd=project, env=environment, capture_output=True, timeout=300, check=True)
    assert (project / "results/tiny/runs" / RUN / "run.json").stat().st_mtime_ns == made


def history(project: Path) -> np.ndarray:
    return np.genfromtxt(project / "results/tiny/runs" / RUN / "history.csv", delimiter=",", skip_header=1)
