"""Slurm's jobs as the executor `transgan-slurm` sees them: which job belongs to which stage, and how it ended.

Everything is asked of `squeue`, which works with and without accounting. What it does not know is the exit code of a
stage, because Slurm sees that of the Snakemake around it. The shell of every stage therefore records it in a file
(workflow/rules/common.smk).
"""

import hashlib
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from transgan.pipeline.freshness import embedded_metadata

EXIT_CODES = Path(".snakemake/slurm-exit-codes")  # one file for each job, a line for each stage that has ended in it
SIGTERM_CODE = 143  # after a stop signal: a time limit, preemption, `scancel --signal=TERM`
QUERY_SECONDS = 60.0

# The states that a job can end in, of those that `man squeue` lists.
DONE = "COMPLETED"
INTERRUPTED = frozenset({"BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "TIMEOUT"})
FAILED = frozenset(
    {"CANCELLED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "OUT_OF_MEMORY", "RECONFIG_FAIL", "REVOKED", "SPECIAL_EXIT"}
)
_COMMENT = re.compile(r"\[([0-9a-f]{16})\]$")


class Outcome(Enum):
    """How a job stands."""

    ACTIVE = "waits or runs"
    DONE = "done"
    INTERRUPTED = "ended before its time; a new job goes on where it stopped"
    FAILED = "failed; a new job would fail again"


@dataclass(frozen=True)
class Job:
    """A job in Slurm's queue. `digest` names the work that it does, None if this project did not submit it."""

    number: str
    state: str
    digest: str | None


def outcome(state: str | None, exit_code: int | None) -> Outcome:
    """How a job stands, from its state (None: Slurm has forgotten it) and the exit code of its last stage.

    Only an interruption can be cured by another attempt. A stage that ends with 2 (to be fixed by the user), with 3
    (diverged) or in a bug would end so again; a job that a user cancelled is not wanted.
    """
    if state is None:
        if exit_code is None:
            return Outcome.FAILED
        state = "FAILED" if exit_code else DONE
    if state == DONE:
        return Outcome.DONE
    if state in INTERRUPTED or (state == "FAILED" and exit_code == SIGTERM_CODE):
        return Outcome.INTERRUPTED
    return Outcome.FAILED if state in FAILED else Outcome.ACTIVE


def queue(name: str, ended: bool) -> dict[str, Job] | None:
    """This user's jobs with the name `name` by their number; None if Slurm does not answer.

    With `ended` also those that have ended and that Slurm remembers (for `MinJobAge` seconds).
    """
    states = ("--states=all",) if ended else ()
    command = ("squeue", "--me", "--noheader", f"--name={name}", "--format=%i|%T|%k", *states)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=QUERY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse(done.stdout) if done.returncode == 0 else None


def parse(text: str) -> dict[str, Job]:
    """Jobs by number, from lines of number, state and comment with bars between them."""
    jobs = {}
    for line in text.splitlines():
        number, state, comment = (*line.split("|", 2), "", "")[:3]
        found = _COMMENT.search(comment.strip())
        if number:
            jobs[number] = Job(number, state, found[1] if found else None)
    return jobs


def job_name(folder: Path) -> str:
    """The name of all jobs of the project in `folder`, the same for every Snakemake that runs there."""
    resolved = str(folder.resolve())
    word = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name)[:20]
    return f"transgan-{word}-{hashlib.sha256(resolved.encode()).hexdigest()[:8]}"


def digest(names: Iterable[str], inputs: Iterable[str]) -> str:
    """16 hex digits for the work of a job: its rule and outputs, and the fingerprints in the config files it reads."""
    configs = (path for path in inputs if path.startswith("state/") and "/config/" in path)
    fingerprints = (str(embedded_metadata(Path(path)).get("fingerprint")) for path in configs)
    return hashlib.sha256("\n".join([*sorted(names), *sorted(fingerprints)]).encode()).hexdigest()[:16]


def comment(title: str, named: str) -> str:
    """The comment of a job, which `squeue --format=%k` shows: what it does, and the digest of its work."""
    return f"{title} [{named}]"


def exit_code(number: str) -> int | None:
    """The exit code of the last stage that ended in a job; None if none did."""
    try:
        lines = (EXIT_CODES / number).read_text().split()
    except OSError:
        return None
    return int(lines[-1]) if lines and lines[-1].isdigit() else None


def forget(number: str) -> None:
    """Remove the recorded exit codes of a job."""
    (EXIT_CODES / number).unlink(missing_ok=True)


def message(number: str, state: str | None, code: int | None) -> str:
    """What is said of a job that did not succeed, without what Snakemake adds."""
    known = f"Slurm job {number} ended as {state}" if state else f"Slurm no longer knows job {number}"
    return known + (f"; its stage ended with exit code {code}. " if code is not None else "; no stage ended in it. ")


def stop(numbers: Sequence[str], states: Mapping[str, Job]) -> None:
    """Cancel the jobs that wait, and send SIGTERM to the stages of those that run, so that training saves."""
    waiting = [number for number in numbers if number in states and states[number].state == "PENDING"]
    running = [number for number in numbers if number in states and number not in waiting]
    _scancel(waiting)
    _scancel(running, "--signal=TERM")


def cancel(numbers: Sequence[str]) -> None:
    """Cancel jobs at once."""
    _scancel(numbers)


def _scancel(numbers: Sequence[str], *options: str) -> None:
    if numbers:
        subprocess.run(("scancel", *options, *numbers), capture_output=True, timeout=QUERY_SECONDS, check=False)


def remembered_seconds() -> int:
    """For how long Slurm remembers a job that has ended (`MinJobAge`); its default of 300 if that is not known."""
    try:
        done = subprocess.run(
            ("scontrol", "show", "config"), capture_output=True, text=True, timeout=QUERY_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 300
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    return int(found[1]) if found else 300
