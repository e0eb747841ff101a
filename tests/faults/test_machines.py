"""Machines and file systems that refuse: read-only, another owner's checkout, no flock."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.conftest import Transgan, assert_one_line, environment
from transgan.errors import UserError
from transgan.pipeline import provenance
from transgan.utils import files
from transgan.utils.exit_codes import one_line_exit

# Git then treats every checkout as one of another user, as in a container that runs as root on a mounted folder.
ANOTHER_OWNER = {
    "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@pytest.mark.parametrize("code", [errno.EROFS, errno.EIO, errno.ENOSPC])
def test_a_file_system_that_becomes_read_only_while_a_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The clean-up fails for the same reason, and must not replace the message."""

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), str(self))

    files.write_text(tmp_path / "result", "old")
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UserError, match=rf"{tmp_path / 'result'}: cannot be written \({os.strerror(code)}\)"):
        files.write_text(tmp_path / "result", "new")
    assert (tmp_path / "result").read_text() == "old"


@pytest.mark.parametrize("code", [errno.ENAMETOOLONG, errno.EROFS, errno.EISDIR])
def test_an_error_of_a_file_is_one_line_wherever_it_arises(capsys: pytest.CaptureFixture[str], code: int) -> None:
    with pytest.raises(SystemExit) as caught, one_line_exit():
        raise OSError(code, os.strerror(code), "some/file")
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"transgan: some/file: {os.strerror(code)}; ")
    assert message.count("\n") == 1


def test_an_error_that_names_no_file_is_a_bug() -> None:
    with pytest.raises(BrokenPipeError), one_line_exit():
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def test_doctor_says_why_git_does_not_read_a_checkout(project: Path, transgan: Transgan) -> None:
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    said = transgan("doctor", **ANOTHER_OWNER).stdout
    assert "dubious ownership" in said
    assert f"git config --global --add safe.directory {project}" in said
    assert "core.no_scm" not in said
    outside = transgan("doctor", GIT_CEILING_DIRECTORIES=str(project.parent), GIT_DIR=str(project / "none")).stdout
    assert "not a git repository" in outside
    assert "core.no_scm" in outside


def test_why_the_commit_is_not_known(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    assert provenance.unknown_commit() is None
    for key, value in ANOTHER_OWNER.items():
        monkeypatch.setenv(key, value)
    reason = provenance.unknown_commit()
    assert reason is not None
    assert reason.startswith("detected dubious ownership in repository at")
    assert "\n" not in reason
    assert reason.endswith(f"run `git config --global --add safe.directory {ROOT}`")
    assert provenance.source() == {"commit": None, "dirty": None}
    monkeypatch.setenv("PATH", str(project))
    reason = provenance.unknown_commit()
    assert reason is not None
    assert reason.startswith("git is not installed; install git")


def test_training_says_that_its_commit_is_not_known(project: Path, transgan: Transgan) -> None:
    from transgan.config import plan as plans
    from transgan.data.fetch import fetch
    from transgan.data.prepare import prepare

    plan = plans.load()
    fetch(plan, "cifar10")
    prepare(plan, "cifar10")
    done = transgan("train", "one-cifar10", **ANOTHER_OWNER)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("names no commit, as it is not known: detected dubious ownership") == 1


def test_a_folder_in_place_of_a_file_is_one_line(project: Path, transgan: Transgan) -> None:
    (project / "params.yaml").unlink()
    (project / "params.yaml").mkdir()
    assert_one_line(transgan("plan"), "params.yaml: cannot be read (Is a directory)")


@pytest.mark.parametrize("command", [["plan"], ["doctor"], ["data", "--json"], ["--help"]])
def test_a_full_disk_under_standard_output_is_one_line(project: Path, command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "transgan", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("transgan: standard output: No space left on device; ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail at x] DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_is_used_up_is_one_line(capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    with pytest.raises(SystemExit) as ended, one_line_exit():
        raise error
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("transgan: out of memory (")
