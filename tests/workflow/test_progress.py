"""What Snakemake prints in this project: how far it is, what failed and why; its exit code; and Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..conftest import ROOT
from .conftest import Project, make_project
from .test_cluster import as_in_a_terminal

PACK = "data/tiny/cifar10/manifest.json"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def start(project: Project, target: str = PACK) -> subprocess.Popen[str]:
    """`snakemake` on one target, both streams in one pipe, in a process group of its own."""
    return subprocess.Popen(
        ["snakemake", "--cores", "all", "--", target],
        cwd=project.root,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
    )


def test_progress_without_a_terminal(project: Project) -> None:
    lines = project.run("snakemake", "--cores", "all", "--", PACK).splitlines()
    assert any(line.startswith("2 jobs: 1 fetch, 1 prepare") for line in lines), lines
    assert lines[-1].startswith("2 of 2 jobs done after ")
    assert not [line for line in lines if line.startswith(("Building DAG", "Select jobs", "[", "rule "))]
    assert "Nothing to be done" in project.run("snakemake", "--cores", "all", "--", PACK)


def test_a_failing_job_shows_its_rule_log_message_and_exit_code(project: Project) -> None:
    project.edit("{name: train, count: 1437}", "{name: train, count: 99999}")
    running = start(project)
    output, _ = running.communicate(timeout=600)
    assert running.returncode == 1, output
    assert "FAILED: prepare cifar10" in output
    assert "transgan prepare cifar10" in output
    assert "exit code 2" in output
    assert "99,999 images" in output.split("log: ")[1]  # the message of `transgan`, from the log
    assert "log: logs/tiny/prepare/cifar10.log" in output
    assert "Traceback" not in output


def test_dry_runs_list_jobs_as_snakemake_does(project: Project) -> None:
    output = project.run("snakemake", "--dry-run", "--", PACK)
    assert "rule prepare:" in output
    assert "This was a dry-run" in output


def test_quiet_is_quiet(project: Project) -> None:
    assert "jobs done" not in project.run("snakemake", "--cores", "all", "--quiet", "all", "--", PACK)


def test_ctrl_c_ends_it_with_an_error_and_no_traceback(project: Project) -> None:
    running = start(project, "results/tiny/runs/one-cifar10/run.json")
    # A stage that works stops in order. Snakemake and Python print a traceback if they are only just starting.
    while not list((project.root / "state/tiny/train").glob("*/*/*")):
        assert running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=600)
    assert running.returncode not in (0, None), output
    assert "Traceback" not in output, output
