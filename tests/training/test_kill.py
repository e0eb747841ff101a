"""kill -9 and SIGTERM of real processes at random moments of a run: always the bytes of the undisturbed run."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.training.conftest import RUN, digests
from transgan import plan as plans
from transgan.training import session  # noqa: F401
from transgan.training.loop import train


def start() -> int:
    """Train in a forked process; returns its id."""
    child = os.fork()
    if child:
        return child
    try:
        train(plans.load(), RUN)
        os._exit(0)
    except SystemExit as stopped:
        os._exit(int(stopped.code or 0))
    finally:
        os._exit(1)


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check(project: Path, moments: int, seed: int, signum: signal.Signals) -> None:
    """End a run by `signum` at random moments, each time of a fresh run, go on with it, and hold the result against the undisturbed run."""
    begun = time.monotonic()
    assert wait(start()) == 0
    length = time.monotonic() - begun
    undisturbed = digests(project)
    chance = random.Random(seed)
    ended = 0
    for _ in range(moments):
        shutil.rmtree(project / "state")
        shutil.rmtree(project / "results")
        child = start()
        time.sleep(chance.uniform(0, length))
        os.kill(child, signum)
        code = wait(child)
        assert code in (0, -signum, 128 + signum)
        ended += code != 0
        assert wait(start()) == 0
        assert digests(project) == undisturbed
    assert ended >= moments // 3


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_two_random_moments(project, signum):
    check(project, 2, 0, signum)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_twenty_random_moments(project, signum):
    check(project, 20, 1, signum)
