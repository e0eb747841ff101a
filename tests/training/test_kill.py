"""SIGKILL and SIGTERM of real processes at random moments: the resumed run has the bytes of the uninterrupted one."""

import contextlib
import os
import random
import shutil
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch

from tests.faults.counts import KILLS, Count
from tests.faults.forked import CONTEXT
from tests.training.conftest import RUN, digests
from transgan.config import plan as plans
from transgan.tracking.tracker import Tracker
from transgan.training import loop
from transgan.training.train import train


def train_here(folder: Path) -> None:
    """Train in a project folder, with one thread and without MLflow, as the other tests."""
    os.chdir(folder)
    torch.set_num_threads(1)
    loop.TrainingLoop._open_tracker = lambda _: Tracker()  # type: ignore[method-assign]
    train(plans.load(), RUN)


def start(folder: Path) -> ForkServerProcess:
    child = CONTEXT.Process(target=train_here, args=(folder,))
    child.start()
    return child


def wait(child: ForkServerProcess) -> int | None:
    """The exit code, or minus the signal that ended the process."""
    child.join()
    return child.exitcode


def check(project: Path, moments: int, seed: int, signum: signal.Signals, count: Count) -> None:
    """Stop fresh runs by `signum` at random moments, resume them, and compare with an uninterrupted run."""
    assert wait(start(project)) == 0  # run twice, because the first child also starts the fork server
    shutil.rmtree(project / "state")
    shutil.rmtree(project / "results")
    begun = time.monotonic()
    assert wait(start(project)) == 0
    length = time.monotonic() - begun
    uninterrupted = digests(project)
    generator = random.Random(seed)
    ended = 0
    for _ in range(moments):
        shutil.rmtree(project / "state")
        shutil.rmtree(project / "results")
        child = start(project)
        time.sleep(generator.uniform(0, length))
        assert child.pid is not None
        with contextlib.suppress(ProcessLookupError):  # it may have ended on its own
            os.kill(child.pid, signum)
        code = wait(child)
        assert code in (0, -signum, 128 + signum)
        ended += code != 0
        held = wait(start(project)) == 0 and digests(project) == uninterrupted
        if signum == signal.SIGKILL:
            count(KILLS, held)
        assert held
    assert ended >= moments // 3


@pytest.mark.faults
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_two_random_moments(project, signum, count):
    check(project, 2, 0, signum, count)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_twenty_random_moments(project, signum, count):
    check(project, 20, 1, signum, count)
