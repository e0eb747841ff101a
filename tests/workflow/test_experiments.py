"""Metrics in git, and DVC's experiments in a copy of the project, which keep what they compute in the project itself.

The tests run in file order and build on each other.
"""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Project, commit, finished_copy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("experiments")]

METRICS = "results/tiny/metrics/two-cifar10.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Everything made by Snakemake, adopted by DVC and committed."""
    project = finished_copy(tmp_path_factory, tmp_path_factory.mktemp("experiments") / "project")
    project.dvc("repro")
    commit(project, "Results")
    return project


def status(project: Project) -> str:
    return project.run("git", "status", "--porcelain")


def fid(project: Project) -> float:
    return json.loads((project.root / METRICS).read_text())["fid"]


def test_git_has_the_metrics_and_nothing_else_of_the_results(project: Project) -> None:
    stored = project.run("git", "ls-files", "results").split()
    assert stored == [f"results/tiny/metrics/{run}-cifar10.json" for run in ("one", "three", "two")]
    assert status(project) == ""


def test_the_same_numbers_leave_git_clean(project: Project) -> None:
    shutil.rmtree(project.root / "results")
    assert f" D {METRICS}" in status(project)
    project.snakemake()
    project.dvc("repro")
    assert status(project) == ""


def test_a_queued_experiment_stores_its_work_and_its_runs_in_the_project(project: Project) -> None:
    work, before = project.work("train"), fid(project)
    project.dvc("exp", "run", "--queue", "--name", "other-seed", "-S", "runs.two-cifar10.seed=5")
    project.dvc("queue", "start")
    try:
        deadline = time.monotonic() + 500
        while (listed := project.dvc("queue", "status")) and ("Queued" in listed or "Running" in listed):
            assert time.monotonic() < deadline, listed
            time.sleep(3)
        assert "Success" in listed, project.run("dvc", "queue", "logs", "other-seed", check=False)
    finally:
        project.run("dvc", "queue", "stop", "--kill", check=False)
    assert len(project.work("train")) == len(work) + 1
    assert work.items() <= project.work("train").items()
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database:
        seeds = database.execute("SELECT value FROM params WHERE key = 'seed'").fetchall()
    assert ("5",) in seeds
    assert ".dvc" not in (project.root / "state/params-files.txt").read_text()
    # The workspace is as it was, and DVC shows both.
    assert status(project) == ""
    assert fid(project) == before
    shown = json.loads(project.dvc("exp", "show", "--json"))
    (experiment,) = shown[1]["experiments"]
    assert experiment["name"] == "other-seed"
    assert experiment["revs"][0]["data"]["metrics"][METRICS]["data"]["fid"] != before


def test_the_experiment_is_applied_without_training(project: Project) -> None:
    work = {**project.work("train"), **project.work("score")}
    project.dvc("exp", "apply", "other-seed")
    assert f" M {METRICS}" in status(project)
    project.run("make", "restore", "STAMP=")
    assert "Nothing to be done" in project.snakemake()
    assert {**project.work("train"), **project.work("score")} == work
    commit(project, "Another seed")


def test_a_clone_without_a_remote_shows_and_compares_metrics(project: Project, tmp_path: Path) -> None:
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "-q", str(project.root), str(clone.root))
    shown = json.loads(clone.run("dvc", "metrics", "show", "--json"))[""]["data"]
    assert {path: content["data"]["fid"] for path, content in shown.items()}[METRICS] == fid(project)
    assert len(shown) == 3
    compared = json.loads(clone.run("dvc", "metrics", "diff", "HEAD~1", "--json"))
    assert set(compared) == {METRICS}
    assert compared[METRICS]["fid"]["new"] == fid(project) != compared[METRICS]["fid"]["old"]
