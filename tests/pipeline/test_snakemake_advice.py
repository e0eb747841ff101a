"""Every error that Snakemake's lines pass on ends with what to type."""

import re

import pytest
from snakemake import exceptions

from transgan.pipeline.snakemake_advice import advice, job_advice


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (str(exceptions.LockException()), "snakemake --unlock"),
        (str(exceptions.IncompleteFilesException([])), "--rerun-incomplete"),
        ("MissingRuleException:\nNo rule to produce tabels", "snakemake --summary"),
        ("OSError: [Errno 28] No space left on device", "df -h ."),
        ("PermissionError: [Errno 13] Permission denied: '.snakemake/log'", "ls -ld"),
        ("Job 3 completed successfully, but some output files are missing.", "--latency-wait 60"),
        ("AmbiguousRuleException: whatever", "--verbose"),
    ],
)
def test_snakemakes_own_messages(message: str, expected: str) -> None:
    assert expected in advice(message)
    assert re.search(r"`[^`]+`", advice(message))


def test_what_follows_a_failed_job_needs_no_advice() -> None:
    assert advice("Exiting because a job execution failed. Look above for error messages") == ""
    assert advice("WorkflowError:\nAt least one job did not complete successfully.") == ""
    assert "resumes" in advice("Cancelling snakemake on user request.")


def test_this_projects_messages_stay_as_they_are() -> None:
    assert advice("WorkflowError in file Snakefile, line 23:\nparams.yaml: recipes.x.lr: ...; write 1.0e-4") == ""


@pytest.mark.parametrize("code", [None, "1", "2", "3", "9", "129", "130", "137", "139", "143", "255"])
def test_a_failed_job(code: str | None) -> None:
    text = job_advice(code, "transgan train a --scale tiny 2>&1 | keep logs/tiny/train/a.log")
    assert "keep" not in text
    assert re.search(r"`transgan train a --scale tiny`|the same command|params\.yaml", text)
