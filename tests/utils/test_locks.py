"""Locks: one holder at a time, with flock and on file systems without it, and a word before any wait."""

import errno
import fcntl
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from transgan.errors import UserError
from transgan.utils import locks

NO_FLOCK = [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS]


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A file system without flock."""
    code: int = getattr(request, "param", errno.ENOLCK)

    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    locks._say_no_flock.cache_clear()


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_second_holder_gets_a_user_error(tmp_path: Path) -> None:
    with (
        locks.lock(tmp_path / ".lock", "train x"),
        pytest.raises(UserError, match="train x: another process is working on it"),
        locks.lock(tmp_path / ".lock", "train x"),
    ):
        pass
    with locks.lock(tmp_path / ".lock", "train x"):
        pass


def test_one_who_waits_says_so_and_goes_on_when_the_lock_is_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = (tmp_path / ".lock").open("w")  # as another process would hold it
    fcntl.flock(held, fcntl.LOCK_EX)
    assert locks.try_lock(tmp_path / ".lock") is None
    thread = threading.Timer(0.3, held.close)
    thread.start()
    with locks.lock(tmp_path / ".lock", "prepare x", wait=True):
        thread.join()
    assert "prepare x: another process is working on it; waiting for it\n" in capsys.readouterr().err


@pytest.mark.faults
@pytest.mark.parametrize("no_flock", NO_FLOCK, indirect=True)
def test_without_flock_a_file_names_the_holder(
    tmp_path: Path, no_flock: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".lock").write_text("")  # left over from a system that has flock
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    with (
        locks.lock(tmp_path / ".lock", "train x"),
        pytest.raises(UserError, match=f"train x: {holder} is working on it .*delete {tmp_path}/.lock.owner"),
        locks.lock(tmp_path / ".lock", "train x"),
    ):
        pass
    with locks.lock(tmp_path / ".lock", "train x"):
        pass
    assert capsys.readouterr().err.count("this file system has no flock") == 1


@pytest.mark.faults
def test_without_flock_the_lock_of_a_process_that_has_ended_is_taken_over(tmp_path: Path, no_flock: None) -> None:
    (tmp_path / ".lock.owner").write_text(f"{dead_pid()}\n{socket.gethostname()}\n")
    with locks.lock(tmp_path / ".lock", "train x"):
        pass


@pytest.mark.faults
def test_without_flock_the_lock_of_another_host_is_named_and_kept(tmp_path: Path, no_flock: None) -> None:
    owner = tmp_path / ".lock.owner"
    owner.write_text("17\nanother-host\n")
    with (
        pytest.raises(UserError, match=f"process 17 on another-host is working on it.*delete {owner}"),
        locks.lock(tmp_path / ".lock", "train x"),
    ):
        pass
    assert owner.exists()


def test_flock_is_recognized(tmp_path: Path) -> None:
    assert locks.flock_error(tmp_path) is None


@pytest.mark.faults
def test_a_missing_flock_is_named(tmp_path: Path, no_flock: None) -> None:
    assert locks.flock_error(tmp_path) == os.strerror(errno.ENOLCK)
