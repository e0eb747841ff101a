"""Which ends of a Slurm job are tried again, what `squeue` says, and how a job is recognized by its work."""

import json
from pathlib import Path

import pytest

from transgan.pipeline import slurm_jobs
from transgan.pipeline.slurm_jobs import Job, Outcome


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        ("PENDING", None, Outcome.ACTIVE),
        ("RUNNING", 0, Outcome.ACTIVE),  # of a group, whose first stage has ended
        ("COMPLETING", 2, Outcome.ACTIVE),
        ("REQUEUED", 143, Outcome.ACTIVE),
        ("COMPLETED", 0, Outcome.DONE),
        ("TIMEOUT", None, Outcome.INTERRUPTED),
        ("TIMEOUT", 143, Outcome.INTERRUPTED),
        ("NODE_FAIL", None, Outcome.INTERRUPTED),
        ("PREEMPTED", 143, Outcome.INTERRUPTED),
        ("BOOT_FAIL", None, Outcome.INTERRUPTED),
        ("FAILED", 143, Outcome.INTERRUPTED),
        ("FAILED", 2, Outcome.FAILED),
        ("FAILED", 3, Outcome.FAILED),
        ("FAILED", 1, Outcome.FAILED),
        ("FAILED", 130, Outcome.FAILED),
        ("FAILED", None, Outcome.FAILED),
        ("CANCELLED", None, Outcome.FAILED),
        ("CANCELLED", 143, Outcome.FAILED),
        ("OUT_OF_MEMORY", None, Outcome.FAILED),
        (None, 0, Outcome.DONE),  # Slurm has forgotten it
        (None, 143, Outcome.INTERRUPTED),
        (None, 2, Outcome.FAILED),
        (None, None, Outcome.FAILED),
    ],
)
def test_only_an_interruption_is_tried_again(state: str | None, code: int | None, expected: Outcome) -> None:
    assert slurm_jobs.outcome(state, code) is expected


def test_the_queue_is_read() -> None:
    text = "12|RUNNING|train one [0123456789abcdef]\n13|PENDING|train | a bar [fedcba9876543210]\n14|FAILED|(null)\n\n"
    assert slurm_jobs.parse(text) == {
        "12": Job("12", "RUNNING", "0123456789abcdef"),
        "13": Job("13", "PENDING", "fedcba9876543210"),
        "14": Job("14", "FAILED", None),
    }


def test_no_squeue_is_no_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_jobs.queue("any", ended=True) is None
    failing = tmp_path / "squeue"
    failing.write_text("#!/bin/sh\necho '1|RUNNING|'\nexit 1\n")
    failing.chmod(0o755)
    assert slurm_jobs.queue("any", ended=True) is None
    failing.write_text("#!/bin/sh\necho '1|RUNNING|'\n")
    assert slurm_jobs.queue("any", ended=True) == {"1": Job("1", "RUNNING", None)}


def test_a_job_is_known_by_its_outputs_and_fingerprint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "state/tiny/config/train/one.json"
    config.parent.mkdir(parents=True)

    def digest(fingerprint: str, *names: str) -> str:
        config.write_text(json.dumps({"fingerprint": fingerprint, "noticed": fingerprint}))
        return slurm_jobs.digest(names, ["data/x", "state/tiny/config/train/one.json"])

    assert digest("a", "train", "b", "c") == digest("a", "c", "b", "train")
    assert len({digest("a", "train", "b"), digest("b", "train", "b"), digest("a", "train", "c")}) == 3
    named = digest("a", "train", "b")
    assert slurm_jobs.parse(f"1|RUNNING|{slurm_jobs.comment('train one', named)}")["1"].digest == named


def test_two_folders_of_one_name_have_different_jobs(tmp_path: Path) -> None:
    here, there = tmp_path / "a" / "my project", tmp_path / "b" / "my project"
    assert slurm_jobs.job_name(here) != slurm_jobs.job_name(there)
    assert slurm_jobs.job_name(here) == slurm_jobs.job_name(tmp_path / "b" / ".." / "a" / "my project")
    assert slurm_jobs.job_name(here).startswith("transgan-my-project-")


def test_the_last_exit_code_of_a_job_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert slurm_jobs.exit_code("7") is None
    slurm_jobs.EXIT_CODES.mkdir(parents=True)
    (slurm_jobs.EXIT_CODES / "7").write_text("143\n0\n")
    assert slurm_jobs.exit_code("7") == 0
    slurm_jobs.forget("7")
    assert slurm_jobs.exit_code("7") is None
    slurm_jobs.forget("7")
