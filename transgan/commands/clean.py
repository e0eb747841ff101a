"""`transgan clean`: lists state folders that no stage uses, or removes them."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from transgan.config import plan as plans
from transgan.config.paths import StageName, StageSubject
from transgan.config.plan import Plan
from transgan.utils.console import say
from transgan.utils.locks import try_lock

logger = logging.getLogger(__name__)

_STATE_STAGES: tuple[StageName, ...] = ("reference", "classifier", "train", "score")


def clean(plan: Plan, delete: bool) -> None:
    """List the unused state folders with their sizes; with `delete`, remove them.

    A folder is unused if its configuration is no longer in the params file at any scale, whether its work is finished
    or not.
    """
    used = _used(plan)
    unused = [folder for folder in _state_folders(plan) if folder not in used]
    for folder in unused:
        say(f"{_bytes(folder) / 2**20:10.1f} MiB  {folder}")
    if not unused:
        say("nothing to remove")
    elif delete:
        say(f"{sum(_remove(folder) for folder in unused)} folders removed")
    else:
        say(f"{len(unused)} folders are unused; `transgan clean --delete` removes them")


def _remove(folder: Path) -> bool:
    """Remove one folder unless a process is working in it; returns whether it was removed."""
    lock = folder.with_name(f".{folder.name}.lock")
    held = try_lock(lock)
    if held is None:
        logger.warning(f"{folder}: in use, not removed")
        return False
    try:
        shutil.rmtree(folder)
    finally:
        held.release()
    lock.unlink(missing_ok=True)
    return True


def _used(plan: Plan) -> set[Path]:
    """The state folders of all scales of the params file; all count, because scales share packs."""
    used = set()
    for scale in plan.params.scales:
        scaled = plans.load(plan.file, scale)
        subjects: dict[StageName, Sequence[StageSubject]] = {
            "prepare": list(scaled.datasets),
            "reference": scaled.references,
            "classifier": list(scaled.classifiers),
            "train": list(scaled.runs),
            "score": list(scaled.runs),
        }
        used |= {
            scaled.paths.workspace(stage, subject, scaled.fingerprint(stage, subject))
            for stage, subjects_of_stage in subjects.items()
            for subject in subjects_of_stage
        }
    return used


def _state_folders(plan: Plan) -> list[Path]:
    folders = [
        folder for stage in _STATE_STAGES for folder in (plan.paths.state / stage).glob("*/*") if folder.is_dir()
    ]
    return sorted(folders + [folder for folder in Path("data/store").glob("*") if folder.is_dir()])


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
