"""`transgan status`: the state of every stage follows from results, state folders, locks and logs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.test_freshness import fabricate_all
from transgan.commands import status
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.utils import files, locks

LOG = Path("logs/tiny/train/one-cifar10.log")


@pytest.fixture
def plan(project: Path) -> Plan:
    return plans.load()


@pytest.fixture
def folder(plan: Plan) -> Path:
    return plan.paths.workspace("train", "one-cifar10", plan.fingerprint("train", "one-cifar10"))


@pytest.fixture
def state(plan: Plan) -> Callable[..., dict[str, Any]]:
    def of(stage: str, name: str) -> dict[str, Any]:
        (row,) = [row for row in status.status(plan)["stages"] if (row["stage"], row["name"]) == (stage, name)]
        return row

    return of


def test_nothing_and_everything(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert {row["state"] for row in status.status(plan)["stages"]} == {"missing"}
    fabricate_all(plan)
    files.write_json(plan.paths.run("one-cifar10+n_critic=1") / "run.json", {})
    status.show(plan)
    out = capsys.readouterr().out
    assert "14 of 14 stages done" in out
    assert "in no table: one-cifar10+n_critic=1" in out
    assert "next: `transgan summary`" in out


def test_a_checkpoint_is_resumable(state: Callable[..., dict[str, Any]], folder: Path) -> None:
    files.write_json(folder / "checkpoint-000000000256.json", {"images": 256})
    assert state("train", "one-cifar10")["state"] == "resumable"
    assert state("train", "one-cifar10")["note"] == "50% trained"


def test_a_held_folder_is_running(state: Callable[..., dict[str, Any]], folder: Path) -> None:
    with locks.lock(folder.with_name(f".{folder.name}.lock"), "train"):
        assert state("train", "one-cifar10")["state"] == "running"
    assert state("train", "one-cifar10")["state"] == "missing"


@pytest.mark.parametrize(
    ("log", "expected", "note"),
    [
        ("transgan: data/x: not there; run `transgan prepare x` first\n", "failed", "data/x: not there"),
        ("Traceback (most recent call last):\n  File x\nZeroDivisionError: x\n", "failed", "ZeroDivisionError: x"),
        ("train one-cifar10: received SIGTERM; saved at 96 images; run the same command to resume\n", "missing", ""),
        ("transgan: stopped by SIGINT\n", "missing", ""),
        ("train one-cifar10: done in 3 s, results/tiny/runs/one-cifar10/\n", "missing", ""),
        ("", "missing", ""),
        ("\0\xff\n", "missing", ""),
    ],
)
def test_a_log_that_ends_in_an_error_is_a_failure(
    state: Callable[..., dict[str, Any]], log: str, expected: str, note: str
) -> None:
    files.write_text(LOG, log)
    row = state("train", "one-cifar10")
    assert row["state"] == expected
    assert row["note"].startswith(note)
    assert row["log"] == (str(LOG) if expected == "failed" else None)


def test_json_and_the_next_command_of_a_failure(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    files.write_text(LOG, "transgan: the disk is full\n")
    status.show(plan, as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert content["next"].startswith(f"fix what {LOG} says")
    assert len(content["stages"]) == 14
