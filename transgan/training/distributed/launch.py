"""A run on several devices: one process each, started here or by torchrun; the first of them writes and reports for all."""

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
from transgan.training.signals import stop_request

logger = logging.getLogger(__name__)


GRACE_SECONDS = 20.0


def start_processes(plan: Plan, run_name: str, folder: Path) -> None:
    """Train in one process per device of the recipe, or per GPU where there are fewer. Raises SystemExit with their exit code if one fails."""
    recipe = plan.run(run_name).recipe
    count = recipe.devices
    if device_type(plan) == "cuda" and torch.cuda.device_count() < count:
        count = most_processes(recipe, torch.cuda.device_count())
        logger.warning(
            f"train {run_name}: the recipe is for {recipe.devices} GPUs, of those here it takes {count}; the batches stay the same, it takes longer"
        )
    arguments = [
        sys.executable,
        "-m",
        "transgan.training.distributed.worker",
        str(plan.file),
        plan.scale_name,
        run_name,
        str(folder),
        str(os.getpid()),
    ]
    own = {
        key: value for key, value in os.environ.items() if not key.startswith("TORCHELASTIC_")
    }  # torchrun's, if it started this one alone
    shared = {**own, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    with stop_request() as stop:
        # In a session of their own: Ctrl-C reaches this process alone, which passes it on once.
        workers = [
            subprocess.Popen(arguments, env={**shared, "RANK": str(i), "LOCAL_RANK": str(i)}, start_new_session=True)
            for i in range(count)
        ]
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
                    f"train {run_name}: a process failed (exit code {next(filter(None, codes))}); the {len(killed)} that wait for it are ended"
                )
                for rank in killed:
                    workers[rank].kill()
            time.sleep(0.1)
    # The first process speaks for all, unless it was ended for another's failure; the others fail of its absence.
    code = next(
        (worker.returncode for rank, worker in enumerate(workers) if worker.returncode and rank not in killed), 0
    )
    if code:
        raise SystemExit(code if code > 0 else 128 - code)


def most_processes(recipe: RecipeConfig, available: int) -> int:
    """The largest number of processes, at most `available`, among which both batches divide."""
    return next(
        count for count in range(available, 0, -1) if recipe.batch % count == recipe.generator_batch % count == 0
    )


def orphaned(parent: int) -> int:
    """SIGTERM when the process that started this one is gone, else 0: nobody would pass a signal on any more."""
    return signal.SIGTERM if os.getppid() != parent else 0


def device_type(plan: Plan) -> str:
    """Kind of device that the processes of a run compute on."""
    return "cuda" if plan.params.execution.device != "cpu" and torch.cuda.is_available() else "cpu"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
