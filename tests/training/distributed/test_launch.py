"""Starting processes: exit codes, signals, and a run that changes its number of processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.training.conftest import RUN, digests
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.schema.params import ExecutionConfig
from transgan.training.checkpoint import Checkpoints
from transgan.training.distributed.launch import most_processes, start_processes
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.loop import TrainingLoop, _check_processes
from transgan.training.train import train

TOLERANCE = 1e-4  # of final weights of runs that are equal up to rounding


def test_a_batch_that_does_not_divide_among_the_processes_is_refused(project):
    recipe = plans.load().run(RUN).recipe
    _check_processes(ProcessGroup(0, 2), recipe, torch.device("cpu"))
    with pytest.raises(UserError, match=r"recipe.batch: \d+ does not divide among 3 processes"):
        _check_processes(ProcessGroup(0, 3), recipe, torch.device("cpu"))
    assert [most_processes(recipe, available) for available in (1, 2, 3)] == [1, 2, 2]


def test_only_the_main_process_decides_when_to_save():
    assert not TrainingLoop._checkpoint_due(SimpleNamespace(process_group=ProcessGroup(1, 2), saved_at=-1e9))
    assert TrainingLoop._checkpoint_due(
        SimpleNamespace(
            process_group=ProcessGroup(0, 2),
            saved_at=-1e9,
            plan=SimpleNamespace(params=SimpleNamespace(execution=ExecutionConfig())),
        )
    )


class Workers:
    """Replaces subprocess.Popen in start_processes: starts one shell command per rank instead of a worker."""

    def __init__(self, *commands: str) -> None:
        self.commands = commands
        self.environments: list[dict[str, str]] = []

    def __call__(self, arguments: list[str], env: dict[str, str], start_new_session: bool) -> subprocess.Popen:
        self.environments.append(env)
        return self.popen(["sh", "-c", self.commands[int(env["RANK"])]], start_new_session=start_new_session)

    popen = subprocess.Popen


@pytest.fixture
def start_two(project, tmp_path, monkeypatch):
    """Call start_processes with two shell commands; returns the exit code and the workers."""
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


def test_the_failure_of_a_process_ends_the_others(start_two, capsys):
    assert start_two("exec sleep 60", "exit 3")[0] == 3
    assert "a process failed (exit code 3); the 1 that wait for it are killed" in capsys.readouterr().err
    assert start_two("exit 3", "exec sleep 60")[0] == 3
    assert start_two("exit 0", "exit 0")[0] == 0


def test_a_stopped_process_does_not_end_another_that_is_saving(start_two, tmp_path):
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    saving = f"trap 'sleep 1; touch {saved}; exit 143' TERM; touch {ready}; while true; do sleep 0.05; done"
    stopped = f"while [ ! -e {ready} ]; do sleep 0.05; done; kill -TERM {os.getpid()}; exec sleep 60"
    assert start_two(saving, stopped)[0] == 143
    assert saved.exists()


def test_torchruns_variables_are_not_passed_to_the_workers(start_two, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    code, workers = start_two("exit 0", "exit 0")
    assert code == 0
    assert [env["RANK"] for env in workers.environments] == ["0", "1"]
    assert not any(key.startswith("TORCHELASTIC_") for env in workers.environments for key in env)


@pytest.mark.slow
def test_two_processes_give_the_run_of_one_which_can_resume_it(project):
    train(plans.load(), RUN)
    alone = history(project)
    text = (project / "params.yaml").read_text().replace("    batch: 16\n", "    batch: 16\n    devices: 2\n")
    (project / "params.yaml").write_text(text)
    plan = plans.load()
    train(plan, RUN)
    np.testing.assert_allclose(history(project), alone, rtol=1e-3, atol=1e-4)
    folder = plan.paths.workspace("train", RUN, plan.fingerprint("train", RUN))
    two = Checkpoints(folder, plan.fingerprint("train", RUN), 2).load()
    for name in ("json", "pt"):
        (folder / f"checkpoint-000000000128.{name}").unlink()
    TrainingLoop(plan, RUN, folder).train()
    resumed = Checkpoints(folder, plan.fingerprint("train", RUN), 2).load()
    for key, value in two["trainer"]["average"].items():
        torch.testing.assert_close(resumed["trainer"]["average"][key], value, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_torchrun_gives_the_same_bytes_as_start_processes(project):
    """The same two processes, started by torchrun. A second torchrun finds the run finished."""
    (project / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("    batch: 16\n", "    batch: 16\n    devices: 2\n")
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    alone = [sys.executable, "-m", "transgan", "train", RUN]  # in a process of its own, because of `same_bytes`
    subprocess.run(alone, cwd=project, env=environment, capture_output=True, timeout=300, check=True)
    own = digests(project)
    for folder in ("results/tiny/runs", "state/tiny/train"):
        shutil.rmtree(project / folder)
    command = "-m torch.distributed.run --standalone --nproc-per-node 2 -m transgan train"
    torchrun = [sys.executable, *command.split(), RUN]
    first = subprocess.run(
        torchrun, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert first.returncode == 0, first.stderr
    assert digests(project) == own
    written = (project / "results/tiny/runs" / RUN / "run.json").stat().st_mtime_ns
    subprocess.run(torchrun, cwd=project, env=environment, capture_output=True, timeout=300, check=True)
    assert (project / "results/tiny/runs" / RUN / "run.json").stat().st_mtime_ns == written


def history(project: Path) -> np.ndarray:
    return np.genfromtxt(project / "results/tiny/runs" / RUN / "history.csv", delimiter=",", skip_header=1)
