"""The executor `transgan-slurm`, which workflow/profiles/slurm selects: Snakemake's own for Slurm, with four changes.

- A job is tried again only after what another attempt can cure: a time limit, preemption, a failed node.
- Jobs that outlived the Snakemake that submitted them are waited for, and not submitted a second time.
- The state of jobs is asked of `squeue` alone, every few seconds, so it works without accounting.
- Ctrl-C lets stages stop in order, so that training saves, before it cancels what still runs.

How jobs are submitted is left to Snakemake's executor.
"""

import asyncio
import shlex
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from transgan.pipeline import slurm_jobs
from transgan.pipeline.slurm_jobs import Job, Outcome

# Seconds between two looks at the queue: `--transgan-slurm-init-seconds-before-status-checks` after a change, then
# longer by this factor each time, to so many times as long.
GROWTH, MOST = 1.5, 6.0
STOP_SECONDS = 120.0  # for stages to stop after Ctrl-C


class Executor(SlurmExecutor):  # type: ignore[misc] # Snakemake's plugins have no types
    """Submits jobs to Slurm and watches them. See the module."""

    def __post_init__(self, test_mode: bool = False) -> None:
        """Set up without jobs."""
        self.workflow.executor_settings.status_command = None  # it is not used, and need not be warned of
        super().__post_init__(test_mode)
        self.run_uuid = slurm_jobs.job_name(Path.cwd())  # which Snakemake's executor gives to its jobs as their name
        queued = slurm_jobs.queue(self.run_uuid, ended=False)
        if queued is None:
            raise WorkflowError("squeue does not answer, so the jobs in the queue are not known; try again later")
        # Jobs of an earlier Snakemake, by the digest of their work.
        self._earlier = {entry.digest: entry for entry in queued.values() if entry.digest is not None}
        self._submitted: dict[str, Any] = {}  # number -> job, of all that have not ended
        self._interrupted: set[Any] = set()
        self._ended_at: dict[str, float] = {}  # number -> when a job was first seen without its exit code
        # Often enough to see a job that has ended before Slurm forgets it.
        self._most_seconds = min(MOST * self._first_seconds, max(slurm_jobs.remembered_seconds() / 3, 1.0))

    def run_job(self, job: Any) -> None:
        """Submit a job, unless one of an earlier Snakemake does its work already."""
        earlier = self._earlier.pop(_digest(job), None)
        if earlier is None:
            super().run_job(job)
            return
        self.logger.warning(f"{_title(job)}: Slurm job {earlier.number} is at it already; waiting for that one")
        folder = self.slurm_logdir / (f"group_{job.name}" if job.is_group() else f"rule_{job.name}")
        log = next(folder.rglob(f"{earlier.number}.log"), folder / f"{earlier.number}.log")
        self._report_job_submission_threadsafe(
            SubmittedJobInfo(job, external_jobid=earlier.number, aux={"slurm_logfile": log})
        )

    def get_partition_arg(self, job: Any) -> str:
        """Options of `sbatch`: the partition, and a comment by which another Snakemake recognizes the job."""
        comment = slurm_jobs.comment(_title(job), _digest(job))
        return f"{super().get_partition_arg(job)} --comment {shlex.quote(comment)} --open-mode=append"

    def get_account_arg(self, job: Any) -> Generator[str, None, None]:
        """The option of `sbatch` for the account, if one is set. Slurm checks it, and has a default."""
        account = job.resources.get("slurm_account")
        yield f" -A {shlex.quote(str(account))}" if account else ""

    def report_job_submission(self, job_info: Any, register_job: bool = True) -> None:
        """Begin to watch a job."""
        self._submitted[job_info.external_jobid] = job_info.job
        self.next_seconds_between_status_checks = self._first_seconds
        super().report_job_submission(job_info, register_job=register_job)

    @property
    def _first_seconds(self) -> float:
        seconds: float = self.workflow.executor_settings.init_seconds_before_status_checks
        return seconds

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncGenerator[Any, None]:
        """Report the jobs that have ended, and yield the others."""
        if not active_jobs:  # also before __post_init__, since the thread that calls this has started by then
            self.next_seconds_between_status_checks = self._first_seconds
            return
        queued = await asyncio.to_thread(slurm_jobs.queue, self.run_uuid, True)
        before = len(self._submitted), len(self._ended_at)
        for info in active_jobs:
            if queued is None or not self._has_ended(info, queued.get(info.external_jobid)):
                yield info
        changed = before != (len(self._submitted), len(self._ended_at))
        longer = min(self.next_seconds_between_status_checks * GROWTH, self._most_seconds)
        self.next_seconds_between_status_checks = self._first_seconds if changed or self._ended_at else longer

    def _has_ended(self, info: Any, entry: Job | None) -> bool:
        """Report a job if it has ended; whether it has."""
        number, state = info.external_jobid, entry.state if entry else None
        code = slurm_jobs.exit_code(number)
        result = slurm_jobs.outcome(state, code)
        if result is Outcome.ACTIVE:
            return False
        if code is None and result is not Outcome.DONE and not self._has_waited(number):
            return False  # the file with the exit code may take a while to be seen from here
        self._submitted.pop(number, None)
        self._ended_at.pop(number, None)
        slurm_jobs.forget(number)
        log = info.aux["slurm_logfile"]
        if result is Outcome.DONE:
            if not self.workflow.executor_settings.keep_successful_logs:
                log.unlink(missing_ok=True)
            self.report_job_success(info)
            return True
        if result is Outcome.INTERRUPTED:
            self._interrupted.add(info.job)
        # The log of a stage says why it ended. Slurm's says why none has begun.
        logs = [str(log)] if code is None else []
        self.report_job_error(info, msg=slurm_jobs.message(number, state, code), aux_logs=logs)
        return True

    def _has_waited(self, number: str) -> bool:
        since = self._ended_at.setdefault(number, time.monotonic())
        longest: float = self.workflow.execution_settings.latency_wait
        return time.monotonic() - since > longest

    def handle_job_error(self, job: Any) -> None:
        """Called by the scheduler before it decides whether to try again: not unless the job was interrupted."""
        super().handle_job_error(job)
        if job in self._interrupted:
            self._interrupted.discard(job)
        else:
            job.attempt = job.restart_times + 1

    def cancel_jobs(self, active_jobs: list[Any]) -> None:
        """Stop all jobs after Ctrl-C: stages get SIGTERM, as at a time limit, and after a while are cancelled."""
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)  # no job comes after this
        end = time.monotonic() + STOP_SECONDS
        stopped: set[str] = set()
        while numbers := self._still_queued():
            new = [number for number in numbers if number not in stopped]
            if time.monotonic() > end:
                slurm_jobs.cancel(list(numbers))
                return
            slurm_jobs.stop(new, numbers)
            if not stopped:
                self.logger.warning(f"Stopping {len(new)} Slurm jobs; training saves first.")
            stopped |= set(new)
            time.sleep(1.0)

    def _still_queued(self) -> dict[str, Job]:
        """The jobs of this Snakemake that wait or run. Slurm not answering counts as none, so that Ctrl-C ends."""
        queued = slurm_jobs.queue(self.run_uuid, ended=False) or {}
        return {number: queued[number] for number in list(self._submitted) if number in queued}


def _members(job: Any) -> list[Any]:
    """The jobs of a group, in an order in which they can run; a single job is its own only member."""
    return [member for level in job.toposorted for member in level] if job.is_group() else [job]


def _title(job: Any) -> str:
    return ", ".join(" ".join((member.rule.name, *map(str, member.wildcards))) for member in _members(job))


def _digest(job: Any) -> str:
    """Names the work of a job by its last member, because earlier ones may be done when Snakemake starts again."""
    last = _members(job)[-1]
    return slurm_jobs.digest([last.rule.name, *map(str, last.output)], map(str, last.input))
