"""`transgan rehearse`: runs of a scale for a few steps at their real size on this device, one after the other.

Each run is rehearsed in a process of its own (transgan.cost.rehearsal). Its result is stored at once, so that an
interrupted rehearsal resumes with the next run.
"""

import logging
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from rich import box
from rich.table import Table

from transgan.config.plan import Plan, Run
from transgan.cost import counts, rehearsal_file
from transgan.cost.rehearsal_file import DOES_NOT_FIT, SHAPES, Rehearsal
from transgan.errors import UserError
from transgan.hardware.info import device_name
from transgan.utils import files
from transgan.utils.console import table_console
from transgan.utils.units import plain_number

logger = logging.getLogger(__name__)

Where = Literal["auto", "cpu", "cuda", "meta"]
META = "meta (shapes and FLOPs only)"
GRACE_SECONDS = 20.0  # for a process to end after a signal; one that is compiling may notice it late
WIDTH = 150  # of the printed table where the output is not a terminal


def rehearse(plan: Plan, names: Sequence[str], where: str, again: bool) -> None:
    """Rehearse runs, by default all scheduled ones, and print a table.

    `where`: "auto" (`execution.device`), "cpu", "cuda", or "meta", which counts shapes and FLOPs without a device and
    stores nothing. Runs that were rehearsed on this device with success are not rehearsed `again` unless asked. Raises
    UserError for an unknown run or device, and at the end if a run does not fit or a later stage failed.
    """
    if where not in get_args(Where):
        raise UserError(f"--device {where}: unknown; choose {', '.join(get_args(Where))}")
    runs = [plan.run(name) for name in names] or list(plan.scheduled_runs.values())
    if where == "meta":
        results = {run.name: _on_meta(run) for run in runs}
        device = META
    else:
        chosen = plan.device if where == "auto" else where
        if chosen == "cuda":
            _require_gpu("--device cuda" if where == "cuda" else f"{plan.file}: execution.device is cuda")
        device = device_name(cpu=chosen == "cpu")
        results = {}
        for number, run in enumerate(runs, 1):
            known = None if again else rehearsal_file.read(plan, run, device)
            if known is None or not known.conclusive:
                logger.info(f"rehearse {run.name} ({number} of {len(runs)}) ...")
                known = _in_process(plan, run, chosen)
                rehearsal_file.write(plan, run, known, device)
            results[run.name] = known
    _print(plan, device, results)
    troubled = [name for name, result in results.items() if result.failed]
    if troubled:
        raise UserError(
            f"rehearse: {len(troubled)} of {len(runs)} runs have problems ({', '.join(troubled)}); where memory is "
            "short, set recipe.micro_batch to the largest one that fits"
        )


def _in_process(plan: Plan, run: Run, where: str) -> Rehearsal:
    """Rehearse a run in a new process, which may be killed without harm to this one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rehearsal.json"
        arguments = [str(plan.file), plan.scale_name, run.name, where, str(file)]
        command = [sys.executable, "-m", "transgan.cost.rehearsal", *arguments]
        code = _exit_code(command)
        if file.exists():
            return Rehearsal(**files.read_json(file))
    if code == UserError.exit_code:  # it has said what is wrong
        raise UserError(f"rehearse {run.name}: not done, for the reason above; run the same command afterwards")
    if code in (-signal.SIGINT, -signal.SIGTERM, 129, 130, 143):
        raise KeyboardInterrupt
    reason = f"its process ended with exit code {code}"
    if code == -signal.SIGKILL:
        reason = "its process was killed, probably because the machine's memory was exhausted"
    elif code < 0:
        reason = f"its process was ended by signal {-code}"
    return Rehearsal(rehearsal_file.key(run), 0, DOES_NOT_FIT, 0, None, None, None, reason, {})


def _exit_code(command: Sequence[str]) -> int:
    """The exit code of a process; minus the number of the signal that ended it.

    It is in a session of its own, so that Ctrl-C reaches this process alone, which then ends that one. The device is
    free again when this process ends.
    """
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _require_gpu(reason: str) -> None:
    import torch  # takes seconds, and is needed only here

    if not torch.cuda.is_available():
        raise UserError(f"rehearse: {reason}, but torch sees no GPU here; choose --device cpu or meta")


def _on_meta(run: Run) -> Rehearsal:
    """A step of the run on tensors without content: memory as counted, no time."""
    from transgan.cost.estimate import estimate  # imports torch, which is needed only here

    batch = run.recipe.batch // run.recipe.devices
    memory, error = None, None
    try:
        memory = estimate(run).memory_gib
    except RuntimeError as problem:
        error = f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
    result = DOES_NOT_FIT if error else SHAPES
    size = min(batch, run.recipe.micro_batch or batch)
    return Rehearsal(rehearsal_file.key(run), batch, result, size, None, memory, None, error, {})


def _print(plan: Plan, device: str, results: dict[str, Rehearsal]) -> None:
    console = table_console(WIDTH)
    title = f"{plan.file} at scale {plan.scale_name}, rehearsed on {device}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("run", "result", "batch", "micro-batch", "largest", "peak GiB", "images/s", "hours", "GFLOP/image"):
        table.add_column(column, justify="left" if column in ("run", "result") else "right")
    for name, result in results.items():
        run = plan.run(name)
        seconds = result.seconds_per_image
        count = counts.stored_counts().get(counts.key(run))
        table.add_row(
            name,
            result.result,
            str(result.batch),
            str(result.micro_batch),
            _number(result.largest_micro_batch),
            _number(result.peak_gib),
            _number(None if seconds is None else 1 / seconds),
            _number(None if seconds is None else seconds * run.recipe.images / 3600),
            _number(None if count is None else count["gflop_per_image"]),
        )
    console.print(table)
    for name, result in results.items():
        for line in result.failed:
            console.print(f"{name}: {line}")
    untried = sorted({line for result in results.values() for line in result.stages.values() if line[:3] == "not"})
    for line in untried:
        console.print(line)
    if any(result.largest_micro_batch for result in results.values()):
        console.print("largest: the largest micro-batch that fits. hours: of one device, for the whole schedule.")
    if any(result.result == SHAPES for result in results.values()):
        on_cpu = "on a CPU the batch is the smallest possible one, so that memory is not the recipe's"
        counted = "memory is counted, not measured"
        console.print(f"Shapes only: {counted if device == META else on_cpu}, and no time is measured.")


def _number(value: float | None) -> str:
    return "–" if value is None else plain_number(value)
