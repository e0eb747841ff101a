"""A small project for the workflow tests, as a user would have it: git, DVC, Snakemake and the tiny params file."""

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from transgan.pipeline import dvc_yaml

from ..conftest import ROOT, TINY


@dataclass
class Project:
    """A checkout with everything the front-ends need, driven through their command lines."""

    root: Path

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the project with this Python's tools; its output, both streams."""
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "DVC_NO_ANALYTICS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        done = subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, env=environment, timeout=600, check=False
        )
        output = done.stdout + done.stderr
        if check:
            assert done.returncode == 0, output
        return output

    def snakemake(self, *options: str) -> str:
        """The main job through Snakemake."""
        return self.run("snakemake", "--cores", "all", *options, "--", "reproduce_tables")

    def dvc(self, *arguments: str) -> str:
        """DVC."""
        return self.run("dvc", *arguments)

    def work(self, stage: str) -> dict[str, int]:
        """When each finished result of a stage was worked out: changes exactly when work is repeated."""
        folders = "data/store/*" if stage == "prepare" else f"state/tiny/{stage}/*/*"
        return {
            str(path.relative_to(self.root)): path.stat().st_mtime_ns
            for path in self.root.glob(f"{folders}/finished.json")
        }

    def bytes(self) -> dict[str, bytes]:
        """Every output that both front-ends declare: not provenance, which holds times, nor DVC's configurations."""
        folders = (self.root / "results", self.root / "data" / "tiny")
        paths = [
            path
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file()
            and path.name not in ("provenance.json", "README.md")
            and not path.is_relative_to(self.root / "results" / "tiny" / "config")
        ]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}

    def pushed_bytes(self) -> dict[str, bytes]:
        """Every declared output but provenance and packs, which `dvc push` leaves out by default."""
        return {
            path: content
            for path, content in self.bytes().items()
            if path.startswith("results/") or path.endswith("/source.json")
        }

    def set_params(self, text: str) -> None:
        """Write params.yaml, and the part of dvc.yaml that follows from it."""
        (self.root / "params.yaml").write_text(text)
        here = Path.cwd()
        try:
            os.chdir(self.root)
            Path("dvc.yaml").write_text(dvc_yaml.render((ROOT / "dvc.yaml").read_text()))
        finally:
            os.chdir(here)

    def edit(self, old: str, new: str) -> None:
        """Replace text in params.yaml."""
        path = self.root / "params.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def make_project(root: Path, params: str | None = None) -> Project:
    """A fresh checkout in `root`, with the text `params` as its params.yaml; none: the tiny one."""
    root.mkdir(parents=True)
    shutil.copytree(ROOT / "workflow", root / "workflow")
    shutil.copytree(ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))
    for name in (".dvcignore", ".gitignore", "Makefile"):
        shutil.copy(ROOT / name, root / name)
    project = Project(root)
    project.set_params(params or TINY.read_text())
    project.run("git", "init", "-q")
    commit(project, "A project")
    return project


def commit(project: Project, message: str) -> None:
    """Commit all files."""
    project.run("git", "add", "-A")
    project.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message)


def finished_copy(factory: pytest.TempPathFactory, root: Path) -> Project:
    """The tiny project after `snakemake reproduce_tables`, without its MLflow store, in `root`.

    It is built once for all processes of a test run, because that takes longest of all, and copied.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    original, done = shared / "finished", shared / "finished.done"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(original, ignore_errors=True)
            make_project(original).snakemake()
            done.touch()
    # MLflow's store has absolute paths.
    shutil.copytree(original, root, symlinks=True, ignore=shutil.ignore_patterns("mlflow.db*", "mlruns"))
    return Project(root)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One finished project for all the tests of a module, which build on each other."""
    return finished_copy(tmp_path_factory, tmp_path_factory.mktemp("workflow") / "project")
