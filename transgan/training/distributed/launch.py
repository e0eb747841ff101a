"""Starts one process per device of a recipe on this machine, forwards signals to them, and returns their exit code.

PyTorch's launcher, torch.distributed.launcher.api.elastic_launch, was tried with PyTorch 2.15. It forwards signals and
names the exit code of a process that failed. After a signal, however, it looks at no exit code, so a checkpoint that
could not be written would count as saved, and thirty seconds later it kills the processes, unless
TORCH_ELASTIC_SHUTDOWN_TIMEOUT is higher. Torchrun, which uses it, exits with 1 and forty lines of report instead of one
message. `torchrun -m transgan train RUN` works nevertheless, also on several machines.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch

from transgan.config.plan import Plan
from transgan.schema import RecipeConfig
from transgan.training.signals import StopRequest, stop_request

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0  # for the other processes to end after one has failed


def start_processes(plan: Plan, run_name: str, folder: Path) -> None:
    """Train in one process per device of the recipe, or per GPU if there are fewer.

    Raises SystemExit with the exit code of the processes unless all end with 0.
    """
    count = _process_count(plan, run_name)
    module = "transgan.training.worker"
    run, *changes = plan.changed_run[1] if plan.changed_run else (run_name,)
    parameters = [str(plan.file), plan.scale_name, run, str(folder), str(os.getpid()), *changes]
    # Without the variables of a torchrun that may have started this process alone.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TORCHELASTIC_")}
    shared = {**inherited, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    with stop_request() as stop:
        # In sessions of their own, so that Ctrl-C reaches this process alone, which forwards it once.
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", module, *parameters],
                env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                start_new_session=True,
            )
            for rank in range(count)
        ]
        code = _wait(run_name, workers, stop)
    if code:
        raise SystemExit(code)


def _wait(run_name: str, workers: list[subprocess.Popen[bytes]], stop: StopRequest) -> int:
    """Wait until all workers have ended; returns their exit code.

    A signal is forwarded to all workers, once. If a worker fails, the others would wait for it forever: those that have
    not ended after GRACE_SECONDS are killed.
    """
    forwarded, failed_at = False, 0.0
    killed: set[int] = set()
    while None in (codes := [worker.poll() for worker in workers]):
        if stop.signum and not forwarded:
            forwarded = True
            for worker in workers:
                worker.send_signal(stop.signum)
        failed = any(code and code not in (128 + stop.signum, -stop.signum) for code in codes)
        failed_at = failed_at or (time.monotonic() if failed else 0.0)
        if failed_at and not killed and time.monotonic() - failed_at > GRACE_SECONDS:
            killed = {rank for rank, code in enumerate(codes) if code is None}
            logger.warning(
                f"train {run_name}: a process failed (exit code {next(filter(None, codes))}); "
                f"the {len(killed)} that wait for it are killed"
            )
            for rank in killed:
                workers[rank].kill()
        time.sleep(0.1)
    # The exit code of the first process counts, unless it was killed here because another one had failed.
    failures = [worker.returncode for rank, worker in enumerate(workers) if worker.returncode and rank not in killed]
    code: int = failures[0] if failures else 0
    return code if code >= 0 else 128 - code


def _process_count(plan: Plan, run_name: str) -> int:
    """The recipe's devices; with fewer GPUs, as many of them as the batches divide among."""
    recipe = plan.run(run_name).recipe
    if device_type(plan) != "cuda" or torch.cuda.device_count() >= recipe.devices:
        return recipe.devices
    count = most_processes(recipe, torch.cuda.device_count())
    logger.warning(
        f"train {run_name}: the recipe is for {recipe.devices} GPUs, and {count} of those here can share its batches; "
        f"the result is the same, but training takes longer"
    )
    return count


def most_processes(recipe: RecipeConfig, available: int) -> int:
    """The largest number of processes, at most `available`, among which both batches divide."""
    return next(
        count for count in range(available, 0, -1) if recipe.batch % count == recipe.generator_batch % count == 0
    )


def orphaned(parent: int) -> int:
    """SIGTERM if the process that started this one has ended, since no other process would forward signals; else 0."""
    return signal.SIGTERM if os.getppid() != parent else 0


def device_type(plan: Plan) -> str:
    """The type of device that the processes of a run compute on: "cuda" or "cpu"."""
    return "cuda" if plan.device != "cpu" and torch.cuda.is_available() else "cpu"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
