"""One Slurm for all tests of this folder, a finished tiny project, and a count of what came back the same."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import TINY
from tests.workflow.conftest import Project, make_project

from . import accounting
from .slurm import NODES, Slurm, why_not

# How many random moments each kind of kill is tried at: 1 in CI, 10 with `make test-cluster`.
KILLS = int(os.environ.get("CLUSTER_KILLS", "1"))
# These tests take minutes; a few of them are a sample that is always tried.
thorough = pytest.mark.skipif("CLUSTER_KILLS" not in os.environ, reason="only with `make test-cluster`")
LONGER = 2_000  # images of the run that is interrupted, some seconds
RUN = "one-cifar10"
# The tiny project without these lines has one run, which is enough here.
OTHER_RUNS = (
    "  two-cifar10: {dataset: cifar10, model: small, recipe: short, protocol: few, seed: 1}\n",
    "  three-cifar10: {dataset: cifar10, model: small, recipe: short, protocol: few, "
    "changes: {recipe: {augment: []}}}\n",
    "      - {name: No augmentation, runs: {cifar10: [three-cifar10]}}\n",
    ", two-cifar10: {}, three-cifar10: {}",
    ", two-cifar10",
)
TARGET = f"results/tiny/runs/{RUN}/run.json"

COUNTS: dict[str, list[int]] = {}  # what was tried -> how often all was as it must be, how often it was tried


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    for what, (same, tried) in COUNTS.items():
        terminalreporter.write_line(f"{what}: {same} of {tried}")


@contextmanager
def counted(what: str) -> Iterator[None]:
    """Count a try, which succeeds if the block does."""
    counts = COUNTS.setdefault(what, [0, 0])
    counts[1] += 1
    yield
    counts[0] += 1


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """The cluster. Its variables are in the environment of every command."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with running(accounts=False) as cluster:
        yield cluster


@pytest.fixture
def slurm_with_accounts() -> Iterator[Slurm]:
    """Another cluster, which keeps accounts in a database."""
    reason = why_not() or accounting.why_not()
    if reason:
        pytest.skip(reason)
    with running(accounts=True) as cluster:
        yield cluster


@contextmanager
def running(accounts: bool = False, nodes: Sequence[str] = NODES, cpus: int = 16) -> Iterator[Slurm]:
    """A cluster that runs, with its variables in the environment. A test is skipped where it does not start."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short, because a socket's path may have 108 characters
    cluster = Slurm(folder, accounts, nodes, cpus)
    with pytest.MonkeyPatch.context() as environment:
        for name in ("PATH", "SLURM_CONF"):
            environment.setenv(name, cluster.environment[name])
        try:
            try:
                cluster.start()
            except RuntimeError as error:
                pytest.skip(f"Slurm does not start here: {str(error)[:2000]}")
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny project, finished without a cluster."""
    params = TINY.read_text()
    for text in OTHER_RUNS:
        assert text in params
        params = params.replace(text, "")
    project = make_project(tmp_path_factory.mktemp("local") / "project", params)
    project.snakemake()
    return project


@pytest.fixture(scope="session")
def uninterrupted(local: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the longer run gives when nothing interrupts it."""
    project = longer(local, tmp_path_factory.mktemp("uninterrupted") / "project")
    project.run("transgan", "train", RUN)
    return run_bytes(project)


def longer(local: Project, root: Path) -> Project:
    """A copy of the finished project whose run is longer, so that there is time to interrupt it."""
    project = copied(local, root)
    project.edit("images: 512", f"images: {LONGER}")
    project.edit("log_images: 128", "log_images: 1200")
    return project


def copied(local: Project, root: Path) -> Project:
    """A copy of the finished project."""
    shutil.copytree(local.root, root, symlinks=True)
    return Project(root)


def run_bytes(project: Project) -> dict[str, bytes]:
    """The declared outputs of the longer run but its provenance, which holds times."""
    folder = (project.root / TARGET).parent
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "provenance.json"}
