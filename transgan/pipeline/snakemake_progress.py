"""What Snakemake prints while it works: how many jobs are done, how long the rest will take, and every failed job.

Snakemake loads this as the logger plugin `transgan` (snakemake_logger_plugin_transgan), which workflow/profiles/default
selects. The stages print to the same terminal, so these are plain lines and not a live display. `--dry-run` and
`--verbose` give Snakemake's own output.
"""

import logging
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from transgan.pipeline.snakemake_advice import advice, job_advice
from transgan.utils.escape import terminal
from transgan.utils.units import duration

# At most one line of progress in this time, on a terminal and elsewhere.
TERMINAL_SECONDS, FILE_SECONDS = 5.0, 30.0
LOG_LINES = 10  # of a failed job
# Messages of Snakemake about itself. They have no event by which they could be told from others.
ROUTINE = (
    "Assuming unrestricted shared filesystem",
    "host: ",
    "Building DAG of jobs",
    "Using shell: ",
    "Provided cores: ",
    "Provided resources: ",
    "Rules claiming more threads will be scaled down",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Select jobs to execute",
    "Removing output files of failed job",
    "Shutting down, this might take some time",
    "Exiting because a job execution failed",
    "Finished jobid: ",
    "Complete log",
    "Elapsed time: ",
    "SLURM run ID: ",
    "Cleaning up SLURM log files",
)
HIDDEN = (
    LogEvent.SHELLCMD,
    LogEvent.JOB_STARTED,
    LogEvent.WORKFLOW_STARTED,
    LogEvent.RESOURCES_INFO,
    LogEvent.RULEGRAPH,
    LogEvent.DEBUG_DAG,
)
EXIT_STATUS = re.compile(r"returned non-zero exit status (\d+)|died with <Signals\.\w+: (\d+)>")


def _with_advice(message: str) -> str:
    what = advice(message)
    return f"{message}\n  next: {what}" if what else message


class Estimate:
    """The time that is left, from the jobs that have ended. Times are in seconds on any clock."""

    def __init__(self, jobs: Mapping[str, int], started: float) -> None:
        """`jobs` maps a rule to its number of jobs."""
        self.left = Counter(jobs)
        self.started = started
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def ended(self, rule: str, seconds: float) -> None:
        """A job of `rule` has ended after `seconds`."""
        self.left[rule] -= 1
        self.seconds[rule].append(seconds)

    def seconds_left(self, now: float) -> float | None:
        """Expected seconds to the end; None while most of the remaining jobs are of rules without an ended job.

        A job is expected to take the mean of its rule, and as many jobs to run side by side as did so far.
        """
        remaining = +self.left
        known = {rule: sum(self.seconds[rule]) / len(self.seconds[rule]) for rule in remaining if self.seconds[rule]}
        if 2 * sum(remaining[rule] for rule in known) < remaining.total() or not self.seconds or now <= self.started:
            return None
        spent = [seconds for each in self.seconds.values() for seconds in each]
        side_by_side = max(sum(spent) / (now - self.started), 1.0)
        return sum(number * known.get(rule, 0.0) for rule, number in remaining.items()) / side_by_side


class LogHandler(LogHandlerBase):
    """Writes Snakemake's records to its output stream as lines about progress and failures."""

    def __post_init__(self) -> None:
        """Set up without jobs."""
        settings = self.common_settings
        self.stream: TextIO = sys.stdout if settings.stdout else sys.stderr
        self.original = bool(settings.dryrun or settings.verbose or settings.debug_dag)
        self.running: dict[int, tuple[str, str, float]] = {}  # job -> rule, title, start
        self.estimate: Estimate | None = None
        self.started = self.printed = 0.0
        self.done = self.total = self.failed = 0
        self.exit_code: str | None = None  # of a command whose job is not named yet

    def emit(self, record: logging.LogRecord) -> None:
        """Write what the record means for a user; nothing for what only concerns Snakemake."""
        try:
            text = self.format(record) if self.original else self._text(record)
            if self.exit_code and getattr(record, "event", None) != LogEvent.ERROR:
                self._print(f"a command ended with exit code {self.exit_code}")
                self.exit_code = None
            if text and text != "None":
                self._print(text)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write what is left when Snakemake ends."""
        if self.exit_code:
            self._print(f"a command ended with exit code {self.exit_code}")
            self.exit_code = None
        super().close()

    def _print(self, text: str) -> None:
        print(terminal(text), file=self.stream, flush=True)

    def _text(self, record: logging.LogRecord) -> str | None:
        event, fields = getattr(record, "event", None), record.__dict__
        match event:
            case LogEvent.RUN_INFO:
                return self._begin(fields["stats"])
            case LogEvent.JOB_INFO:
                title = " ".join((fields["rule_name"], *map(str, dict(fields["wildcards"]).values())))
                self.running[fields["jobid"]] = fields["rule_name"], title, time.monotonic()
                return None
            case LogEvent.JOB_FINISHED:
                self._end(fields["job_id"])
                return None
            case LogEvent.PROGRESS:
                self.done, self.total = fields["done"], fields["total"]
                return self._progress()
            case LogEvent.JOB_ERROR:
                return self._failure(fields)
            case LogEvent.ERROR:
                # For a failed command. JOB_ERROR follows and names the job, but has no exit code.
                found = EXIT_STATUS.search(record.getMessage())
                if found is None:
                    return _with_advice(record.getMessage())
                self.exit_code = found[1] or str(128 + int(found[2]))  # the second is the number of a signal
                return None
        if event in HIDDEN or (record.levelno < logging.WARNING and record.getMessage().startswith(ROUTINE)):
            return None
        text = self.format(record)
        return _with_advice(text) if record.levelno >= logging.ERROR else text

    def _begin(self, stats: Mapping[str, int]) -> str:
        jobs = {rule: number for rule, number in stats.items() if rule != "total"}
        self.started = self.printed = time.monotonic()
        self.total = sum(jobs.values())
        self.estimate = Estimate(jobs, self.started)
        noun = "job" if self.total == 1 else "jobs"
        return f"{self.total} {noun}: {', '.join(f'{number} {rule}' for rule, number in jobs.items())}"

    def _end(self, job: int) -> None:
        rule, _, started = self.running.pop(job, ("", "", 0.0))
        if self.estimate and rule:
            self.estimate.ended(rule, time.monotonic() - started)

    def _progress(self) -> str | None:
        now = time.monotonic()
        every = TERMINAL_SECONDS if self.stream.isatty() else FILE_SECONDS
        if now - self.printed < every and self.done < self.total:
            return None
        self.printed = now
        failed = f", {self.failed} failed" if self.failed else ""
        line = f"{self.done} of {self.total} jobs done{failed} after {duration(now - self.started)}"
        left = self.estimate.seconds_left(now) if self.estimate and self.done < self.total else None
        running = ", ".join(title for _, title, _ in self.running.values())
        return line + (f", about {duration(left)} left" if left else "") + (f"; running: {running}" if running else "")

    def _failure(self, fields: Mapping[str, Any]) -> str:
        rule, title, _ = self.running.pop(fields["jobid"], (fields["rule_name"], fields["rule_name"], 0.0))
        if self.estimate:
            self.estimate.left[rule] -= 1
        self.failed += 1
        code, self.exit_code = self.exit_code, None
        lines = [f"FAILED: {title}" + (f", exit code {code}" if code else "")]
        if fields.get("shellcmd"):
            lines.append(f"  command: {fields['shellcmd'].strip()}")
        for log in map(str, fields.get("log") or ()):
            lines.append(f"  log: {log}")
            path = Path(log.split(" (")[0])
            if path.is_file():
                lines += [f"    {line}" for line in path.read_text(errors="replace").splitlines()[-LOG_LINES:]]
        if fields.get("rule_msg"):
            lines.append(f"  message: {fields['rule_msg']}")
        lines.append(f"  next: {job_advice(code, fields.get('shellcmd') or '')}")
        return "\n".join(lines)

    @property
    def writes_to_stream(self) -> bool:
        """True: it takes the place of Snakemake's own output."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """False: Snakemake writes its log file itself."""
        return False

    @property
    def has_filter(self) -> bool:
        """False: Snakemake's filter is used, so that `--quiet` works."""
        return False

    @property
    def has_formatter(self) -> bool:
        """False: Snakemake's formatter is used for what this class passes on."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """False."""
        return False
