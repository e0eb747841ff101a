"""The lines about progress and failures, from the records that Snakemake logs."""

import io
import logging
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from transgan.pipeline import snakemake_progress
from transgan.pipeline.snakemake_progress import Estimate, LogHandler


@pytest.fixture
def handler(monkeypatch):
    monkeypatch.setattr(snakemake_progress, "FILE_SECONDS", 0.0)
    settings = SimpleNamespace(stdout=False, dryrun=False, verbose=False, debug_dag=False)
    made = LogHandler(settings, None)
    made.stream = io.StringIO()
    return made


def send(handler, message="", level=logging.INFO, **fields):
    record = logging.LogRecord("snakemake", level, __file__, 1, message, None, None)
    record.__dict__.update(fields)
    handler.stream.seek(0)
    handler.stream.truncate()
    handler.emit(record)
    return handler.stream.getvalue()


def start(handler, job, rule, **wildcards):
    send(handler, event=LogEvent.JOB_INFO, jobid=job, rule_name=rule, wildcards=wildcards)


def test_progress_counts_jobs_and_names_those_that_run(handler):
    assert send(handler, "Job stats", event=LogEvent.RUN_INFO, stats={"train": 2, "score": 1, "total": 3}) == (
        "3 jobs: 2 train, 1 score\n"
    )
    start(handler, 1, "train", run="a")
    start(handler, 2, "train", run="b")
    assert send(handler, event=LogEvent.JOB_FINISHED, job_id=1) == ""
    line = send(handler, event=LogEvent.PROGRESS, done=1, total=3)
    assert line.startswith("1 of 3 jobs done after ")
    assert line.endswith("running: train b\n")


def test_a_failure_shows_rule_command_log_and_exit_code(handler, tmp_path):
    log = tmp_path / "a.log"
    log.write_text("\n".join(f"line {n}" for n in range(30)) + "\ntransgan: out of luck\n")
    start(handler, 7, "train", run="a")
    failure = {"jobid": 7, "rule_name": "train", "rule_msg": None, "log": [str(log)], "shellcmd": "transgan train a"}
    command = "Command 'transgan train a' returned non-zero exit status 3."
    assert send(handler, command, logging.ERROR, event=LogEvent.ERROR) == ""
    text = send(handler, "Error in rule", logging.ERROR, event=LogEvent.JOB_ERROR, **failure)
    assert text.startswith("FAILED: train a, exit code 3\n")
    assert "transgan train a" in text
    assert "out of luck" in text
    assert "line 3\n" not in text
    assert "1 failed" in send(handler, event=LogEvent.PROGRESS, done=1, total=3)


def test_a_job_that_a_signal_ended_is_resumed_by_the_same_command(handler):
    start(handler, 7, "train", run="a")
    command = "Command 'transgan train a' died with <Signals.SIGTERM: 15>."
    assert send(handler, command, logging.ERROR, event=LogEvent.ERROR) == ""
    failure = {"jobid": 7, "rule_name": "train", "rule_msg": None, "log": [], "shellcmd": "transgan train a"}
    text = send(handler, "Error in rule", logging.ERROR, event=LogEvent.JOB_ERROR, **failure)
    assert text.startswith("FAILED: train a, exit code 143\n")
    assert "next: type the same command again: it resumes" in text


def test_an_exit_code_is_never_lost(handler):
    send(handler, "Command 'x' returned non-zero exit status 9.", logging.ERROR, event=LogEvent.ERROR)
    assert send(handler, "Goodbye") == "a command ended with exit code 9\nGoodbye\n"


@pytest.mark.parametrize("event", [None, LogEvent.ERROR])
def test_every_other_error_and_warning_passes(handler, event):
    text = send(handler, "WorkflowError: no such rule", logging.ERROR, event=event)
    assert text.startswith("WorkflowError: no such rule\n  next: ")
    assert send(handler, "Complete log is lost", logging.WARNING) == "Complete log is lost\n"


def test_routine_messages_are_left_out_and_others_are_not(handler):
    assert send(handler, "Building DAG of jobs...") == ""
    assert send(handler, "Nothing to be done.") == "Nothing to be done.\n"


def test_the_estimate_weighs_jobs_by_rule_and_by_how_many_run_side_by_side():
    estimate = Estimate({"fetch": 1, "train": 4}, started=0.0)
    estimate.ended("fetch", 1.0)
    assert estimate.seconds_left(1.0) is None  # nothing is known of the four that are left
    estimate.ended("train", 19.0)
    estimate.ended("train", 20.0)
    assert estimate.seconds_left(20.0) == pytest.approx(2 * 19.5 / 2)
    estimate.ended("train", 20.0)
    estimate.ended("train", 20.0)
    assert estimate.seconds_left(40.0) == 0.0
