"""kill -9 and SIGTERM of real processes at random moments of a run: always the bytes of the undisturbed run."""

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch

from tests.training.conftest import RUN, digests
from transgan.config import plan as plans
from transgan.tracking.tracker import Tracker
from transgan.training import loop
from transgan.training.train import train

# Children come from a process that has imported these and computed nothing: autograd refuses to work in a fork of one that has used its threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["transgan.training.train", "transgan.training.loop"])


def train_here(folder: Path) -> None:
    """What a child does, in a project folder: as tests here do, with one thread and no MLflow."""
    os.chdir(folder)
    torch.set_num_threads(1)
    loop.TrainingLoop._open_tracker = lambda _: Tracker()  # type: ignore[method-assign]
    train(plans.load(), RUN)


def start(folder: Path) -> ForkServerProcess:
    child = CONTEXT.Process(target=train_here, args=(folder,))
    child.start()
    return child


def wait(child: ForkServerProcess) -> int | None:
    """Its exit status, or minus the signal that ended it."""
    child.join()
    return child.exitcode


def check(project: Path, moments: int, seed: int, signum: signal.Signals) -> None:
    """End a run by `signum` at random moments, each time of a fresh run, go on with it, and hold the result against the undisturbed run."""
    assert wait(start(project)) == 0  # twice: the first child starts the process that children come from
    shutil.rmtree(project / "state")
    shutil.rmtree(project / "results")
    begun = time.monotonic()
    assert wait(start(project)) == 0
    length = time.monotonic() - begun
    undisturbed = digests(project)
    chance = random.Random(seed)
    ended = 0
    for _ in range(moments):
        shutil.rmtree(project / "state")
        shutil.rmtree(project / "results")
        child = start(project)
        time.sleep(chance.uniform(0, length))
        assert child.pid is not None
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.kill(child.pid, signum)
        code = wait(child)
        assert code in (0, -signum, 128 + signum)
        ended += code != 0
        assert wait(start(project)) == 0
        assert digests(project) == undisturbed
    assert ended >= moments // 3


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_two_random_moments(project, signum):
    check(project, 2, 0, signum)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_twenty_random_moments(project, signum):
    check(project, 20, 1, signum)
