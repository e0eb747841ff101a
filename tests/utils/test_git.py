"""What git says, and what to type about it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from transgan.utils import git as module
from transgan.utils.git import git


def repository(folder: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def test_an_answer(tmp_path: Path) -> None:
    assert git(repository(tmp_path), "rev-parse", "--is-inside-work-tree").output == "true"


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    answer = git(repository(tmp_path), "rev-parse", "HEAD")
    assert answer.output is None
    assert answer.advice == f"run `git -C {tmp_path} commit` first"


def test_a_damaged_index_and_a_damaged_config(tmp_path: Path) -> None:
    folder = repository(tmp_path / "my lab")
    (folder / ".git/index").write_bytes(b"nothing like an index, but long enough to be one" * 4)
    damaged = git(folder, "status", "--porcelain")
    assert damaged.output is None
    assert damaged.advice == f"run `rm '{folder}'/.git/index && git -C '{folder}' reset`"
    (folder / ".git/config").write_text("[core\n")
    assert git(folder, "status").advice.endswith("config --edit` and correct that line")


def test_a_folder_that_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    answer = git(tmp_path, "rev-parse", "HEAD")
    assert answer.reason.startswith(module.NO_REPOSITORY)
    assert "`git clone`" in answer.advice


@pytest.mark.parametrize("damage", ["empty HEAD", "no objects", "a folder inside"])
def test_a_damaged_repository_is_not_taken_for_none(tmp_path: Path, damage: str) -> None:
    folder = repository(tmp_path / "my lab")
    if damage == "no objects":
        shutil.rmtree(folder / ".git/objects")
    else:
        (folder / ".git/HEAD").write_text("")
    (folder / "inside").mkdir()
    answer = git(folder / "inside" if damage == "a folder inside" else folder, "rev-parse", "HEAD")
    assert answer.reason == f"{folder}/.git {module.DAMAGED}"
    assert f"'{folder}'/.git" in answer.advice


def test_a_worktree_whose_repository_has_moved(tmp_path: Path) -> None:
    folder = repository(tmp_path / "first")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(folder), *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run(["git", "-C", str(folder), "worktree", "add", "-q", str(tmp_path / "tree")], check=True)
    moved = folder.rename(tmp_path / "second")
    answer = git(tmp_path / "tree", "rev-parse", "HEAD")
    assert answer.reason == f"{tmp_path}/tree/.git {module.MOVED}"
    assert f"`git worktree repair {tmp_path}/tree`" in answer.advice
    subprocess.run(["git", "-C", str(moved), "worktree", "repair", str(tmp_path / "tree")], check=True)
    assert git(tmp_path / "tree", "rev-parse", "HEAD").output


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (
            "fatal: detected dubious ownership in repository at '/x'\n"
            "To add an exception for this directory, call:\n\n\tgit config --global --add safe.directory /x\n",
            "run `git config --global --add safe.directory /x`",
        ),
        ("error: object file .git/objects/1 is empty\nfatal: loose object 1 is corrupt", "run `git -C . fsck`"),
        ("fatal: cannot open '.git/index': Permission denied", "run `ls -ld . ./.git`"),
        ("fatal: something new\nof two lines", "run `git -C . status` to see the failure by itself"),
        ("", "run `git -C . status` to see the failure by itself"),
    ],
)
def test_every_failure_ends_with_what_to_type(monkeypatch: pytest.MonkeyPatch, text: str, advice: str) -> None:
    def fail(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(command, 128, "", text)

    monkeypatch.setattr(subprocess, "run", fail)
    answer = git(Path(), "status")
    assert answer.output is None
    assert answer.reason
    assert "\n" not in answer.explained
    assert answer.advice.startswith(advice)
    assert "To add an exception" not in answer.reason


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (FileNotFoundError(), "git is not installed; install git"),
        (PermissionError(13, "Permission denied"), "git cannot be started: Permission denied; run `ls -ld"),
        (subprocess.TimeoutExpired("git", 60), "git does not answer; run `git -C . status`"),
    ],
)
def test_a_git_that_does_not_run(monkeypatch: pytest.MonkeyPatch, raised: Exception, reason: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(subprocess, "run", fail)
    assert git(Path(), "status").explained.startswith(reason)
