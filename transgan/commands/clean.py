"""`transgan clean`: lists state folders that no stage uses, or removes them."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from transgan.config.params_file import PARAMS_FILE, parse, read
from transgan.config.paths import StageName, StageSubject
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline import params_register
from transgan.pipeline.freshness import embedded_metadata
from transgan.pipeline.workspace import again_folder
from transgan.utils.console import say, say_json
from transgan.utils.locks import try_lock

logger = logging.getLogger(__name__)

_STATE_STAGES: tuple[StageName, ...] = ("reference", "classifier", "train", "score")


def clean(plan: Plan, delete: bool, as_json: bool = False) -> None:
    """List the unused state folders with their sizes; with `delete`, remove them.

    As JSON: {unused: [{folder, bytes, removed}]}.

    A folder is unused if its configuration is no longer in any known params file at any scale, whether its work is
    finished or not. Results of `train --set` that are in results/ are used, and so is a result that is being computed
    again. Known are the plan's own file, params.yaml, and those that the stores' registers name. Raises
    UserError if one of them cannot be read: what it uses cannot be told.
    """
    unused = []
    for store, folders in _state_folders(plan).items():
        used = {folder for file in _params_files(plan, store) for folder in _used(file)} | set(_published(plan))
        used |= {again_folder(folder) for folder in used}
        unused += [folder for folder in folders if folder not in used]
    sizes = {folder: _bytes(folder) for folder in unused}
    if as_json:
        rows = [{"folder": str(folder), "bytes": size} for folder, size in sizes.items()]
        say_json({"unused": [{**row, "removed": delete and _remove(Path(str(row["folder"])))} for row in rows]})
        return
    for folder, size in sizes.items():
        say(f"{size / 2**20:10.1f} MiB  {folder}")
    if not unused:
        say("nothing to remove")
    elif delete:
        removed = sum(_remove(folder) for folder in unused)
        kept = len(unused) - removed
        say(f"{removed} folders removed" + (f", {kept} kept" if kept else ""))
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
    except OSError as error:
        logger.warning(f"{folder}: not removed ({error.strerror or error}: {error.filename})")
        return False
    finally:
        held.release()
    lock.unlink(missing_ok=True)
    return True


def _params_files(plan: Plan, store: Path) -> list[Path]:
    """Every params file that is known to use a store."""
    default = [PARAMS_FILE] if PARAMS_FILE.exists() else []
    known = [plan.file, *default, *map(Path, params_register.registered(store))]
    return list({file.resolve(): file for file in known}.values())


def _used(file: Path) -> set[Path]:
    """The state folders of all scales of a params file; all count, because scales share packs."""
    try:
        params = parse(read(file), file)
        return {folder for scale in params.scales for folder in _used_at(Plan(params, scale, file))}
    except UserError as error:
        raise UserError(
            f"{error}; nothing is removed, as what {file} uses cannot be told; if it is of no interest any more, "
            f"delete its line from data/store/{params_register.NAME} and state/{params_register.NAME}"
        ) from error


def _used_at(plan: Plan) -> set[Path]:
    """The state folders of the plan's scale."""
    subjects: dict[StageName, Sequence[StageSubject]] = {
        "prepare": list(plan.datasets),
        "reference": plan.references,
        "classifier": list(plan.classifiers),
        "train": list(plan.runs),
        "score": list(plan.runs),
    }
    return {
        plan.paths.workspace(stage, subject, plan.fingerprint(stage, subject))
        for stage, subjects_of_stage in subjects.items()
        for subject in subjects_of_stage
    }


def _published(plan: Plan) -> Iterator[Path]:
    """The state folders of results of the plan's scale whose runs the params file does not have."""
    carriers = {path.parent.name: path for path in plan.paths.results.glob("runs/*/run.json")}
    for name, path in carriers.items():
        if name not in plan.runs:
            published: tuple[tuple[StageName, Path], ...] = (("train", path), ("score", plan.paths.score(name)))
            for stage, carrier in published:
                yield plan.paths.workspace(stage, name, str(embedded_metadata(carrier).get("fingerprint")))


def _state_folders(plan: Plan) -> dict[Path, list[Path]]:
    """The state folders of the plan's scale and all packs, by store."""
    folders = [
        folder for stage in _STATE_STAGES for folder in (plan.paths.state / stage).glob("*/*") if folder.is_dir()
    ]
    packs = plan.paths.store("prepare")
    return {
        packs: sorted(folder for folder in packs.glob("*") if folder.is_dir()),
        plan.paths.store("train"): sorted(folders),
    }


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
