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
import pytest

from tests.conftest import ROOT
from tests.workflow.conftest import Project
from tests.workflow.test_cluster import as_in_a_terminal
from transgan.pipeline.slurm_jobs import job_name

from .conftest import COUNTS, KILLS, LONGER, RUN, TARGET, copied, longer, run_bytes
from .slurm import Slurm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 * KILLS)]

PROFILE = ("--profile", "workflow/profiles/slurm")
QUICK = ("--transgan-slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5")
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
    kill: Callable[[Snakemake], tuple[int, int]],
) -> None:
    """Kill at random moments of training, let Snakemake finish, and compare bytes and the number of jobs.

    `kill` interrupts a Snakemake, and returns with how many jobs the run must have been finished.
    """
    counts = COUNTS.setdefault(what, [0, 0])
    moments = random.Random(len(what))
    for _ in range(KILLS):
        counts[1] += 1
        fresh(project)
        before = submitted(slurm, project)
        running = Snakemake(project)
        running.wait_for_training()
        time.sleep(moments.uniform(0, TRAINING_SECONDS))
        least, most = kill(running)
        assert run_bytes(project) == uninterrupted
        assert least <= submitted(slurm, project) - before <= most
        assert not slurm.jobs()
        counts[0] += 1


def test_the_same_bytes_as_without_a_cluster(slurm: Slurm, local: Project, tmp_path: Path) -> None:
    project = copied(local, tmp_path / "project")
    project.run("bash", "-c", "rm -rf state results data logs .snakemake")
    Snakemake(project, target="reproduce_tables").wait(0)
    assert project.bytes() == local.bytes()
    # 2 prepare, classifier, reference, train, score; none to fetch, and none for tables.
    assert submitted(slurm, project) == 6
    assert not list((project.root / "logs/slurm").rglob("*.log"))  # kept of failed jobs only
    assert (project.root / f"logs/tiny/train/{RUN}.log").exists()
    assert "Nothing to be done" in Snakemake(project, target="reproduce_tables").wait(0)


def test_scancel_is_not_tried_again_and_the_same_command_goes_on(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    def kill(running: Snakemake) -> tuple[int, int]:
        asked, comment = slurm.ask("squeue", "--noheader", "--format=%C %m %l %b|%k").strip().split("|")
        assert asked in ("1 4G 1-00:00:00 N/A", "1 4096M 1-00:00:00 N/A")
        assert comment.startswith(f"train_longest {RUN} [")
        slurm.ask("scancel", *slurm.jobs())
        text = running.wait(1)
        assert "CANCELLED" in text
        Snakemake(project).wait(0)
        return 2, 2

    interrupt(slurm, project, uninterrupted, "scancel", kill)


def test_a_stop_signal_saves_and_is_tried_again(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    """What Slurm sends before a time limit and on preemption."""

    def kill(running: Snakemake) -> tuple[int, int]:
        slurm.ask("scancel", "--signal=TERM", *slurm.jobs())
        text = running.wait(0)
        assert "exit code 143" in text
        assert "received SIGTERM; saved at" in text
        return 2, 2

    interrupt(slurm, project, uninterrupted, "SIGTERM", kill)


def test_a_killed_snakemake_submits_no_job_twice(
    slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]
) -> None:
    def kill(running: Snakemake) -> tuple[int, int]:
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
        text = Snakemake(project).wait(0)
        assert "is at it already" in text or "Nothing to be done" in text
        return 1, 1

    interrupt(slurm, project, uninterrupted, "kill -9 of snakemake", kill)


def test_ctrl_c_lets_training_save(slurm: Slurm, project: Project, uninterrupted: dict[str, bytes]) -> None:
    def kill(running: Snakemake) -> tuple[int, int]:
        running.process.send_signal(signal.SIGINT)
        running.wait(1)
        log = (project.root / f"logs/tiny/train/{RUN}.log").read_text()
        assert "saved at" in log
        assert not slurm.jobs()
        Snakemake(project).wait(0)
        return 2, 2

    interrupt(slurm, project, uninterrupted, "Ctrl-C", kill)


def test_what_the_user_must_fix_is_not_tried_again(slurm: Slurm, local: Project, tmp_path: Path) -> None:
    project = longer(local, tmp_path / "project")
    project.edit("{name: train, count: 1437}", "{name: train, count: 99999}")
    text = Snakemake(project, target="data/tiny/cifar10/manifest.json").wait(1)
    assert text.count("FAILED: prepare cifar10") == 1
    assert "its stage ended with exit code 2" in text
    assert re.search(r"transgan: .*99,999 images", text)
    assert "Traceback" not in text
    assert submitted(slurm, project) == 1


def test_one_run_on_two_nodes_has_the_trajectory_of_one_process(slurm: Slurm, local: Project, tmp_path: Path) -> None:
    alone, spread = (longer(local, tmp_path / name) for name in ("alone", "spread"))
    for project in (alone, spread):
        project.edit(f"images: {LONGER}", "images: 1024")
        project.edit("log_images: 1200", "log_images: 64")
    spread.edit("    threads: 1\n    log_images", "    threads: 1\n    devices: 2\n    log_images")
    alone.run("transgan", "train", RUN)
    running = Snakemake(spread, "--resources", "gpu=8", "devices_per_node=1")
    nodes = ""
    while running.process.poll() is None:
        nodes = max(nodes, slurm.ask("squeue", "--noheader", "--states=running", "--format=%D %C").strip())
        time.sleep(0.2)
    running.wait(0)
    assert nodes == "2 2"
    histories = [
        np.genfromtxt(project.root / f"results/tiny/runs/{RUN}/history.csv", delimiter=",", skip_header=1)
        for project in (alone, spread)
    ]
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-3, atol=1e-4)
