"""DVC remotes: push and pull to an S3 server and over SSH, killed in the middle and resumed; a second clone; `dvc gc`.

The results of the project are fabricated: they carry the fingerprints of real ones, and nothing is trained.
tests/workflow/test_compare.py restores real ones.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from transgan.config import plan as plans
from transgan.pipeline import dvc_yaml

from ..pipeline.test_freshness import fabricate_all
from .conftest import Project, commit, make_project
from .remotes import KEY_ID, SECRET, Folder, Remote, s3_server, ssh_server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("remotes")]

SERVERS = {"s3": s3_server, "ssh": ssh_server}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with every output, each of other content, adopted by DVC and committed."""
    project = make_project(tmp_path_factory.mktemp("remotes") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        fabricate_all(plans.load())
        for path in (*Path("results").rglob("*.*"), *Path("data/tiny").rglob("*.np?")):
            if path.read_bytes() == b"x":
                path.write_bytes(str(path).encode() * 1000)
    project.run("transgan", "resolve")
    project.dvc("commit", "--force")
    commit(project, "Results")
    return project


@pytest.fixture(scope="module", params=SERVERS)
def remote(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, finished: Project
) -> Iterator[Remote]:
    """A server, empty, and the project configured for it."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        finished.dvc("remote", "add", "--force", "--default", "lab", server.url)
        for options, where in ((server.shared, ()), (server.local, ("--local",))):
            for key, value in options.items():
                finished.dvc("remote", "modify", *where, "lab", key, value)
        commit(finished, f"A remote: {request.param}")
        with pytest.MonkeyPatch.context() as patch:
            for key, value in server.environment.items():
                patch.setenv(key, value)
            yield server


def killed(project: Project, command: tuple[str, ...], reached: Callable[[], bool]) -> int:
    """Start `command`, kill it with `kill -9` once `reached`; its exit code."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    tool = Path(sys.executable).with_name(command[0])
    process = subprocess.Popen(
        [tool, *command[1:]],
        cwd=project.root,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while process.poll() is None and not reached():
        assert time.monotonic() < end
        time.sleep(0.002)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def test_a_push_that_is_killed_resumes_and_packs_stay_here(finished: Project, remote: Remote) -> None:
    assert killed(finished, ("dvc", "push", "--jobs", "1"), lambda: len(remote.files()) >= 3) == -signal.SIGKILL
    part = remote.objects()
    assert part
    assert remote.damaged() == []
    finished.dvc("push")
    whole = remote.objects()
    assert set(part) < set(whole)
    assert remote.damaged() == []
    pushed = set(finished.pushed_bytes().values())
    assert pushed <= set(whole.values())
    packs = {content for path, content in finished.bytes().items() if path.endswith(".npy")}
    assert packs
    assert packs.isdisjoint(whole.values())
    assert "in sync" in finished.dvc("status", "--cloud")


def test_a_clone_whose_pull_is_killed_restores_everything(finished: Project, remote: Remote, tmp_path: Path) -> None:
    finished.dvc("push")
    clone = Project(tmp_path / "clone")
    finished.run("git", "clone", "-q", str(finished.root), str(clone.root))
    for key, value in remote.local.items():
        clone.dvc("remote", "modify", "--local", "lab", key, value)
    cache = clone.root / ".dvc" / "cache" / "files"

    def some() -> bool:
        return sum(path.is_file() for path in cache.rglob("*")) >= 3

    assert killed(clone, ("dvc", "pull", "--jobs", "1"), some) == -signal.SIGKILL
    assert clone.pushed_bytes() != finished.pushed_bytes()
    clone.run("make", "restore", "STAMP=")
    assert clone.bytes() == finished.pushed_bytes()
    planned = set(re.findall(r"^(\w+) +\d+$", clone.snakemake("--dry-run", "--quiet", "rules"), re.MULTILINE))
    assert planned <= {"table", "cells", "reproduce_tables", "total"}
    assert clone.work("train") == {}


def test_no_credential_is_in_what_git_keeps_or_a_push_writes(finished: Project, remote: Remote) -> None:
    kept = finished.run("git", "grep", "-I", "--heading", "-e", "", "--", ".dvc", "dvc.yaml", "dvc.lock")
    output = finished.dvc("push", "--verbose")
    for secret in (KEY_ID, SECRET, *remote.local.values()):
        assert secret == "root" or secret not in kept
    assert SECRET not in output
    written = [path for path in (finished.root / ".dvc" / "tmp").rglob("*") if path.is_file()]
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_packs_are_pushed_when_asked_for(finished: Project, remote: Remote) -> None:
    finished.edit("mirror: null", "mirror: null\n  push_packs: true")
    finished.run(sys.executable, "-m", "transgan.pipeline.dvc_yaml")
    assert "push: false" not in (finished.root / dvc_yaml.DVC_FILE).read_text()
    finished.dvc("push")
    packs = {content for path, content in finished.bytes().items() if path.endswith(".npy")}
    assert packs <= set(remote.objects().values())
    finished.run("git", "checkout", "--", "params.yaml", "dvc.yaml")


def test_gc_of_all_commits_keeps_what_gc_of_the_workspace_deletes(finished: Project, tmp_path: Path) -> None:
    """What docs/remotes.md says of -A, -w and -c."""
    project = Project(tmp_path / "clone")
    finished.run("git", "clone", "-q", str(finished.root), str(project.root))
    store = Folder(tmp_path / "store", str(tmp_path / "store"), {})
    project.dvc("remote", "add", "--force", "--default", "lab", store.url)
    project.dvc("cache", "dir", "--local", str(tmp_path / "cache"))
    table = project.root / "results/tiny/tables/small.md"
    for text in ("old", "new"):
        for path, content in finished.bytes().items():
            (project.root / path).parent.mkdir(parents=True, exist_ok=True)
            (project.root / path).write_bytes(content)
        table.write_text(text)
        project.run("transgan", "resolve")
        project.dvc("commit", "--force")
        commit(project, text)
        project.dvc("push")
    assert {b"old", b"new"} <= set(store.objects().values())
    project.dvc("gc", "--force", "--workspace", "--cloud", "--dry")
    project.dvc("gc", "--force", "--all-commits", "--cloud")
    assert {b"old", b"new"} <= set(store.objects().values())
    project.dvc("gc", "--force", "--workspace", "--cloud")
    assert b"new" in store.objects().values()
    assert b"old" not in store.objects().values()
