"""Ctrl-C, SIGTERM and a closed terminal end every stage with their exit code, one line and no file half written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Transgan, environment
from transgan import cli

# A stage that works until a signal comes, in place of the real one.
SLOW_STAGE = """
import sys, time
from pathlib import Path
from {module} import {name}
from transgan.utils import files

def work(*_, **__):
    with files.atomic(Path("half")) as temporary:
        temporary.write_text("half")
        print("begun", flush=True)
        time.sleep(60)

import {module} as module
module.{name} = work
from transgan.__main__ import main
sys.argv = ["transgan", *{arguments}]
main()
"""
STAGES = {
    "fetch": ("transgan.data.fetch", "fetch", ["fetch", "cifar10"]),
    "prepare": ("transgan.data.prepare", "prepare", ["prepare", "cifar10"]),
    "classifier": ("transgan.scoring.classifier", "train", ["classifier", "digits"]),
    "reference": ("transgan.scoring.reference", "run", ["reference", "cifar10", "few"]),
    "train": ("transgan.training.train", "train", ["train", "one-cifar10"]),
    "score": ("transgan.scoring.score", "score", ["score", "one-cifar10"]),
    "table": ("transgan.report.tables", "make", ["table", "small"]),
    "cells": ("transgan.report.cells_frame", "write", ["cells"]),
    "figure": ("transgan.report.figures", "make", ["figure", "none"]),
    "report": ("transgan.report.page", "make", ["report"]),
    "sync": ("transgan.tracking", "sync", ["sync"]),
}


def as_in_a_terminal() -> None:
    """A shell's background job, as CI's may be, ignores SIGINT; one under nohup ignores SIGHUP."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def stop(command: list[str], project: Path, signum: signal.Signals, ready: str = "begun") -> tuple[int, str]:
    """Start a command, send `signum` when it has printed `ready`; its exit code and standard error."""
    process = subprocess.Popen(
        command,
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_in_a_terminal,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == ready
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_and_sigterm_end_a_stage_with_one_line(project: Path, stage: str) -> None:
    module, name, arguments = STAGES[stage]
    code = SLOW_STAGE.format(module=module, name=name, arguments=arguments)
    for signum in (signal.SIGINT, signal.SIGTERM):
        ended, errors = stop([sys.executable, "-c", code], project, signum)
        assert (ended, errors) == (128 + signum, f"transgan: stopped by {signum.name}\n")
    assert not list(project.glob(".half*"))


def test_a_closed_terminal_ends_a_stage_unless_nohup_keeps_it(project: Path) -> None:
    code = SLOW_STAGE.format(module="transgan.data.fetch", name="fetch", arguments=["fetch", "cifar10"])
    assert stop([sys.executable, "-c", code], project, signal.SIGHUP) == (129, "transgan: stopped by SIGHUP\n")
    ignoring = code.replace("time.sleep(60)", "time.sleep(1)")
    ended, errors = stop(["nohup", sys.executable, "-c", ignoring], project, signal.SIGHUP)
    assert ended == 0, errors


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit(3)])
def test_what_a_verb_raises_is_the_exit_code(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: BaseException
) -> None:
    from transgan.data import fetch as stage

    def work(*_: object) -> None:
        raise raised

    monkeypatch.setattr(stage, "fetch", work)
    monkeypatch.setattr(sys, "argv", ["transgan", "fetch", "cifar10"])
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    for signum, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(signum, handler)
    assert caught.value.code == (3 if isinstance(raised, SystemExit) else 130)
    assert capsys.readouterr().err == ("" if isinstance(raised, SystemExit) else "transgan: stopped by SIGINT\n")


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_trainings_loop(project: Path, transgan: Transgan, signum: signal.Signals) -> None:
    """While libraries are imported and networks built; later, training stops after its step with the same code."""
    for dataset in ("digits", "cifar10"):
        assert transgan("fetch", dataset).returncode == 0
        assert transgan("prepare", dataset).returncode == 0
    assert transgan("classifier", "digits").returncode == 0
    assert transgan("reference", "cifar10", "few").returncode == 0
    # So many images that no machine has trained before the last signal.
    command = [sys.executable, "-m", "transgan", "train", "one-cifar10", "--set", "recipe.images=64000"]
    for delay in (0.3, 0.8, 1.6, 3.0):
        process = subprocess.Popen(
            command,
            cwd=project,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=as_in_a_terminal,
        )
        time.sleep(delay)
        process.send_signal(signum)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 128 + signum, errors
        said = [line for line in errors.splitlines() if signum.name in line]
        assert len(said) == 1
        assert "Traceback" not in errors
