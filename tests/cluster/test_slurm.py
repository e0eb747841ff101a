"""Through a real Slurm: the same bytes as without one, whatever is killed in between, and no job twice."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.conftest import ROOT
from tests.workflow.conftest import Project
from tests.workflow.test_cluster import as_in_a_terminal
from transgan.pipeline.slurm_jobs import job_name

from .accounting import ACCOUNT
from .conftest import KILLS, RUN, TARGET, copied, counted, longer, run_bytes, thorough
from .slurm import NODES, Slurm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 * KILLS)]

PACK = "data/tiny/cifar10/manifest.json"
PROFILE = ("--profile", "workflow/profiles/slurm")
QUICK = ("--transgan-slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5")
# More options, which docs/cluster.md shows.
UNSIGNALLED = ("--default-resources", "mem_mb=4000", "disk_mb=1000")  # replace the profile's, and its `--signal`
WITH_ACCOUNT = (*UNSIGNALLED, f"slurm_account={ACCOUNT}")
GROUPED = ("--groups", "prepare=short", "--group-components", "short=2")
TWO_NODES = ("--resources", "gpu=8", "devices_per_node=1")
PATIENCE = 900.0  # seconds; on a busy machine everything takes long
TRAINING_SECONDS = 2.0  # in which a kill comes, counted from the first checkpoint


class Snakemake:
    """A `snakemake` with the profile for Slurm, as a user starts it."""

    def __init__(self, project: Project, *options: str, target: str = TARGET) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.project = project
        self.output = project.root / "terminal.txt"
        with self.output.open("w") as terminal:
            self.process = subprocess.Popen(
                ["snakemake", *PROFILE, *QUICK, *options, "--", target],
                cwd=project.root,
                env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
                stdout=terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=as_in_a_terminal,
            )

    def wait(self, code: int) -> str:
        """Wait for its end with the exit code `code`; what it printed."""
        self.process.wait(timeout=PATIENCE)
        text = self.output.read_text()
        assert self.process.returncode == code, text
        return text

    def wait_for_training(self) -> None:
        """Wait until the run has written a checkpoint."""
        end = time.monotonic() + PATIENCE
        while not list((self.project.root / "state/tiny/train" / RUN).glob("*/checkpoint-*.pt")):
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < end, self.output.read_text()
            time.sleep(0.05)


def submitted(slurm: Slurm, project: Project) -> int:
    """How many jobs Slurm has been given for a project."""
    name = f"--name={job_name(project.root)}"
    return len(slurm.ask("squeue", "--noheader", "--states=all", name, "--format=%i").split())


def fresh(project: Project) -> None:
    """Forget the longer run."""
    project.run("bash", "-c", f"rm -rf state/tiny/train/{RUN}/* results/tiny/runs/{RUN} logs")


@pytest.fixture
def project(slurm: Slurm, local: Project, tmp_path: Path) -> Project:
    made = longer(local, tmp_path / "project")
    fresh(made)
    return made


def interrupt(
    slurm: Slurm,
    project: Project,
    uninterrupted: dict[str, bytes],
    what: str,
    kill: Callable[[Snakemake], int],
    *options: str,
) -> None:
    """Kill at random moments of training, let Snakemake finish, and compare bytes and the number of jobs.

    `kill` interrupts a Snakemake, and returns how many jobs the run must have been given to Slurm as.
    """
    moments = random.Random(len(what))
    for _ in range(KILLS):
        with counted(what):
            fresh(project)
            before = submitted(slurm, project)
            running = Snakemake(project, *options)
            running.wait_for_training()
            time.sleep(moments.uniform(0, TRAINING_SECONDS))
            jobs = kill(running)
            assert run_bytes(project) == uninterrupted
            slurm.wait_for_no_jobs()  # a job whose outputs are there may still be ending
            assert submitted(slurm, project) - before == jobs


def test_the_same_bytes_as_without_a_cluster(slurm: Slurm, local: Project, tmp_path: Path) -> None:
    project = copied(local, tmp_path / "project")
    project.run("bash", "-c", "rm -rf state results data logs .snakemake")
    with counted("the whole project"):
        Snakemake(project, target="reproduce_tables").wait(0)
        assert project.bytes() == local.bytes()
        # 2 prepare, classifier, reference, train, score; none to fetch, and none for tables.
        assert submitted(slurm, project) == 6
        assert not list((project.root / "logs/slurm").rglob("*.log"))  # kept of failed jobs only
        assert (project.root / f"logs/tiny/train/{RUN}.log").exists()
        assert "Nothing to be done" in Snakemake(project, target="reproduce_tables").wait(0)


def test_short_stages_share_a_job(slurm: Slurm, local: Project, tmp_path: Path) -> None:
    project = copied(local, tmp_path / "project")
    project.run("bash", "-c", "rm -rf state results data logs .snakemake")
    with counted("short stages in one job"):
        Snakemake(project, *GROUPED, target="reproduce_tables").wait(0)
        assert project.bytes() == local.bytes()
        assert submitted(slurm, project) == 5  # both prepare in one


@thorough
def test_scancel_is_not_tried_again_and_the_same_command_goes_on(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    def kill(running: Snakemake) -> int:
        asked, comment = slurm.ask("squeue", "--noheader", "--format=%C %m %l %b|%k").strip().split("|")
        assert asked in ("1 4G 1-00:00:00 N/A", "1 4096M 1-00:00:00 N/A")
        assert comment.startswith(f"train {RUN} [")
        slurm.ask("scancel", *slurm.jobs())
        text = running.wait(1)
        assert "CANCELLED" in text
        Snakemake(project).wait(0)
        return 2

    interrupt(slurm, project, uninterrupted, "scancel", kill)


@thorough
def test_a_stop_signal_saves_and_is_tried_again(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    """As by `scancel --signal=TERM`."""

    def kill(running: Snakemake) -> int:
        slurm.ask("scancel", "--signal=TERM", *slurm.jobs())
        text = running.wait(0)
        assert "exit code 143" in text
        assert "received SIGTERM; saved at" in text
        return 2

    interrupt(slurm, project, uninterrupted, "SIGTERM", kill)


def frozen_training(slurm: Slurm) -> psutil.Process:
    """The process that trains, stopped until Slurm signals it: Slurm looks at time limits only every 30 seconds."""
    (training,) = [
        process
        for process in slurm.processes()
        if [Path(word).name for word in process.cmdline()[1:3]] == ["transgan", "train"]
    ]
    training.suspend()
    return training


def wait_for_signal(training: psutil.Process) -> None:
    """Wait until a frozen process has a SIGTERM pending or is continued, then continue it."""
    end = time.monotonic() + PATIENCE
    status = Path(f"/proc/{training.pid}/status")
    while training.status() == psutil.STATUS_STOPPED:
        assert time.monotonic() < end
        pending = re.search(r"^ShdPnd:\s*(\w+)", status.read_text(), re.MULTILINE)
        if pending and int(pending[1], 16) >> (signal.SIGTERM - 1) & 1:
            break
        time.sleep(0.1)
    training.resume()


@thorough
def test_a_time_limit_that_comes_near_saves_and_is_tried_again(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    """Slurm sends the profile's SIGTERM five minutes before the limit."""

    def kill(running: Snakemake) -> int:
        training = frozen_training(slurm)
        slurm.ask("scontrol", "update", f"JobId={slurm.jobs()[0]}", "TimeLimit=5")
        wait_for_signal(training)
        text = running.wait(0)
        assert "ended as FAILED; its stage ended with exit code 143" in text
        assert "received SIGTERM; saved at" in text
        return 2

    interrupt(slurm, project, uninterrupted, "time limit near", kill)


@thorough
def test_a_time_limit_that_is_reached_is_tried_again(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    """Without the profile's `--signal`: Slurm ends the job at its limit, with KillWait seconds to save."""

    def kill(running: Snakemake) -> int:
        training = frozen_training(slurm)
        slurm.ask("scontrol", "update", f"JobId={slurm.jobs()[0]}", "TimeLimit=1")
        wait_for_signal(training)
        text = running.wait(0)
        assert "ended as TIMEOUT; its stage ended with exit code 143" in text
        assert "received SIGTERM; saved at" in text
        return 2

    interrupt(slurm, project, uninterrupted, "time limit reached", kill, *UNSIGNALLED)


def test_a_job_whose_node_fails_is_resumed(slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]) -> None:
    """Slurm gives the job to another node by itself; the first comes back."""

    def kill(running: Snakemake) -> int:
        number, node = slurm.ask("squeue", "--noheader", "--states=running", "--format=%i %N").split()
        slurm.kill_node(node)
        slurm.wait_for_nodes([node], states=("down", "down*"))
        assert running.process.poll() is None
        slurm.start_node(node)
        slurm.wait_for_nodes(NODES)
        running.wait(0)
        assert "Restarts=1 " in slurm.ask("scontrol", "show", "job", number)
        assert "resumes from" in (project.root / f"logs/tiny/train/{RUN}.log").read_text()
        return 1

    interrupt(slurm, project, uninterrupted, "node failed", kill)


@thorough
def test_a_preempted_job_is_requeued_and_resumed(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    """A job in a partition of higher priority takes both nodes for a second."""

    def kill(running: Snakemake) -> int:
        (number,) = slurm.jobs()
        urgent = ("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        slurm.ask(*urgent)
        running.wait(0)
        assert "Restarts=1 " in slurm.ask("scontrol", "show", "job", number)
        assert "resumes from" in (project.root / f"logs/tiny/train/{RUN}.log").read_text()
        return 1

    interrupt(slurm, project, uninterrupted, "preempted", kill)


def test_a_killed_snakemake_submits_no_job_twice(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    def kill(running: Snakemake) -> int:
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
        text = Snakemake(project).wait(0)
        assert "is at it already" in text or "Nothing to be done" in text
        return 1

    interrupt(slurm, project, uninterrupted, "kill -9 of snakemake", kill)


@thorough
def test_ctrl_c_lets_training_save(slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]) -> None:
    def kill(running: Snakemake) -> int:
        running.process.send_signal(signal.SIGINT)
        running.wait(1)
        log = (project.root / f"logs/tiny/train/{RUN}.log").read_text()
        assert "saved at" in log
        assert not slurm.jobs()
        Snakemake(project).wait(0)
        return 2

    interrupt(slurm, project, uninterrupted, "Ctrl-C", kill)


def test_what_the_user_must_fix_is_not_tried_again(slurm: Slurm, local: Project, tmp_path: Path) -> None:
    project = longer(local, tmp_path / "project")
    with counted("exit code 2, submitted once and printed"):
        fails_once(project)
        assert submitted(slurm, project) == 1


def fails_once(project: Project, *options: str) -> None:
    """Let a stage end with exit code 2, and check what the terminal shows."""
    project.edit("{name: train, count: 1437}", "{name: train, count: 99999}")
    text = Snakemake(project, *options, target=PACK).wait(1)
    assert text.count("FAILED: prepare cifar10") == 1
    assert "its stage ended with exit code 2" in text
    assert re.search(r"transgan: .*99,999 images", text)
    assert "Traceback" not in text


@thorough
def test_with_accounting(slurm_with_accounts: Slurm, local: Project, tmp_path: Path) -> None:
    """A job with an account, which this Slurm requires; a job that fails. `sacct` has both."""
    project = copied(local, tmp_path / "project")
    project.run("bash", "-c", "rm -rf state data logs results .snakemake")
    with counted("with accounting"):
        Snakemake(project, *WITH_ACCOUNT, target=PACK).wait(0)
        fails_once(project, *WITH_ACCOUNT)
        sacct = ("sacct", "--allocations", "--noheader", "--parsable2", "--format=account,state")
        end = time.monotonic() + 60
        while (seen := slurm_with_accounts.ask(*sacct).split()) != [f"{ACCOUNT}|COMPLETED", f"{ACCOUNT}|FAILED"]:
            assert time.monotonic() < end, seen
            time.sleep(0.5)


@thorough
def test_one_run_on_two_nodes_has_the_trajectory_of_one_process(slurm: Slurm, local: Project, tmp_path: Path) -> None:
    """Interrupted at a random moment, too."""
    alone, spread = (longer(local, tmp_path / name) for name in ("alone", "spread"))
    for project in (alone, spread):
        project.edit("log_images: 1200", "log_images: 64")
    spread.edit("    threads: 1\n    log_images", "    threads: 1\n    devices: 2\n    log_images")
    alone.run("transgan", "train", RUN)
    moments = random.Random(2)
    for _ in range(KILLS):
        with counted("two nodes, SIGTERM"):
            fresh(spread)
            running = Snakemake(spread, *TWO_NODES)
            running.wait_for_training()
            assert slurm.ask("squeue", "--noheader", "--states=running", "--format=%D %C").strip() == "2 2"
            time.sleep(moments.uniform(0, TRAINING_SECONDS))
            slurm.ask("scancel", "--signal=TERM", *slurm.jobs())
            assert "received SIGTERM; saved at" in running.wait(0)
            np.testing.assert_allclose(history(spread), history(alone), rtol=1e-3, atol=1e-4)


def history(project: Project) -> np.ndarray:
    """Losses and statistics of the run."""
    return np.genfromtxt(project.root / f"results/tiny/runs/{RUN}/history.csv", delimiter=",", skip_header=1)
