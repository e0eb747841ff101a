"""State folders, where costly stages work and store their finished results, so that no finished work is lost.

`state/<scale>/<stage>/<name>/<fingerprint>/` contains ingredients.json (what the fingerprint is a digest of, and the
digests of the inputs), whatever the stage needs to resume after an interruption, the finished outputs, and
finished.json (their digests). The declared outputs are hard links to the finished ones, or copies. If an orchestrator
deletes them, they are back in seconds.

With `--again`, finished work is computed again in `<fingerprint>.again/`, which takes the place of `<fingerprint>/`
when it is complete. If the bytes differ, the previous result is kept in `<fingerprint>.replaced-N/`.
"""

import logging
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline import params_register
from transgan.pipeline.stages import PROVENANCE, Stage
from transgan.utils import files, locks

logger = logging.getLogger(__name__)

FINISHED = "finished.json"
OUTPUTS, SIZES = "outputs", "sizes"  # its keys: file name -> SHA-256, file name -> bytes
INGREDIENTS = "ingredients.json"

# Larger files are compared by size where many are looked at, and by digest only where one is used.
SMALL_BYTES = 2**18

Work = Callable[[Path], Mapping[str, str] | None]


def run_stage(
    plan: Plan, stage: Stage, work: Work, inputs: Mapping[str, str] | None = None, again: bool = False
) -> bool:
    """Create a stage's declared outputs: from finished work if there is any, else by calling `work(folder)`.

    `work` must write every file that `stage.files` names to the state folder. It may find an interrupted call's files
    there and resume from them. It may return the SHA-256 of some outputs, which are then not hashed again.

    `inputs` are digests of what the result depends on besides the configuration, such as the data's content. Work on
    other inputs is set aside, neither used nor deleted.

    With `again`, finished work is computed again. The finished result stays until the new one is complete, and an
    interrupted call is resumed by the next one with `again`.

    Returns whether `work` was called. Raises UserError if another process holds the folder, or if it contains work of
    another configuration.
    """
    folder = plan.paths.workspace(stage.verb, stage.subject, stage.fingerprint)
    title = f"{stage.verb} {stage.name}"
    params_register.register(plan.file, plan.paths.store(stage.verb))
    # Several datasets may share one pack: the second process waits for the first.
    is_pack = stage.verb == "prepare"
    with locked(folder, title, wait=is_pack, doing="packs the same images" if is_pack else "is working on it"):
        if not folder.exists() and (again_folder(folder) / FINISHED).exists():  # interrupted in `_replace`
            again_folder(folder).rename(folder)
        _claim(plan, stage, folder, dict(inputs or {}))
        must_work = not is_finished(folder, stage.files)
        if again and not must_work:
            _compute_again(plan, stage, folder, work, dict(inputs or {}))
            must_work = True
        elif must_work:
            (folder / FINISHED).unlink(missing_ok=True)
            digests = work(folder) or {}
            mark_finished(folder, stage.files, digests)
        elif stage.verb == "prepare" and not all(declared.exists() for declared in stage.files.values()):
            # Mostly the pack of another dataset; the store does not record which.
            logger.info(f"{title}: has the same data and settings as the pack in {folder}, and uses it")
        else:
            logger.info(f"{title}: already finished ({folder})")
            _report_replaced(stage, folder, title)
        for name, declared in stage.files.items():
            files.link_or_copy(folder / name, declared)
    return must_work


def again_folder(folder: Path) -> Path:
    """Where finished work in the state folder `folder` is computed again."""
    return folder.with_name(f"{folder.name}.again")


def _compute_again(plan: Plan, stage: Stage, folder: Path, work: Work, inputs: dict[str, str]) -> None:
    """Compute the finished result in `folder` again, beside it, and replace it."""
    new, title = again_folder(folder), f"{stage.verb} {stage.name}"
    with locked(new, title):
        _claim(plan, stage, new, inputs)
        if not is_finished(new, stage.files):
            (new / FINISHED).unlink(missing_ok=True)
            mark_finished(new, stage.files, work(new) or {})
        _replace(folder, new, title)


def _replace(folder: Path, new: Path, title: str) -> None:
    """Put the finished work in `new` in the place of that in `folder`, which is kept if it differs."""
    old, current = (files.read_object(each / FINISHED, **{OUTPUTS: dict})[OUTPUTS] for each in (folder, new))
    changed = [name for name, digest in current.items() if name != PROVENANCE and old.get(name) != digest]
    number = 1
    while (kept := folder.with_name(f"{folder.name}.replaced-{number}")).exists():
        number += 1
    folder.rename(kept)
    new.rename(folder)
    if changed:
        logger.info(
            f"{title}: computed again, with other bytes in {', '.join(changed)}; the previous result is kept in {kept}"
        )
    else:
        shutil.rmtree(kept, ignore_errors=True)
        logger.info(f"{title}: computed again, with the same bytes")


def _report_replaced(stage: Stage, folder: Path, title: str) -> None:
    """Log which declared outputs no state folder of this machine has, such as those of `dvc pull`, before the stage's
    own replace them. Large files are not looked at.
    """
    small = {
        path: files.sha256(path)
        for name, path in stage.files.items()
        if name != PROVENANCE and path.is_file() and path.stat().st_size <= SMALL_BYTES
    }
    known = {digest for record in _finished(folder.parent) for digest in record.values()}
    if others := [str(path) for path, digest in small.items() if digest not in known]:
        aside = shlex.join(("mv", str(folder), str(folder.with_name(f"own-{folder.name}"))))
        logger.warning(
            f"{title}: {', '.join(others)} changed or another machine's; replaced by this machine's own result; "
            f"to accept another machine's, run `{aside}` and restore its files"
        )


def _finished(parent: Path) -> Iterator[dict[str, Any]]:
    """The digests of all finished work in the state folders below `parent`."""
    for marker in parent.glob(f"*/{FINISHED}"):
        with suppress(UserError):
            yield files.read_object(marker, **{OUTPUTS: dict})[OUTPUTS]


def locked(
    folder: Path, title: str, wait: bool = False, doing: str = "is working on it"
) -> AbstractContextManager[None]:
    """Hold a state folder. If another process holds it, wait or raise UserError, which names `title`."""
    return locks.lock(folder.with_name(f".{folder.name}.lock"), title, wait, doing=doing)


def mark_finished(folder: Path, outputs: Iterable[str], digests: Mapping[str, str] | None = None) -> None:
    """Record in finished.json that the work in a folder is complete, with the SHA-256 and size of its outputs.

    `digests` are those that are already known.
    """
    known, paths = digests or {}, {name: folder / name for name in outputs}
    files.write_json(
        folder / FINISHED,
        {
            OUTPUTS: {name: known.get(name) or files.sha256(path) for name, path in paths.items()},
            SIZES: {name: path.stat().st_size for name, path in paths.items()},
        },
    )


def is_finished(folder: Path, outputs: Iterable[str] | None = None) -> bool:
    """Whether a folder contains a complete and undamaged result, consisting of exactly the files `outputs` if given."""
    marker = folder / FINISHED
    if not marker.exists():
        return False
    recorded: dict[str, str] = files.read_object(marker, **{OUTPUTS: dict})[OUTPUTS]
    if outputs is not None and set(recorded) != set(outputs):
        return False
    damaged = [
        name
        for name, digest in recorded.items()
        if not (folder / name).is_file() or files.sha256(folder / name) != digest
    ]
    if damaged:
        logger.warning(f"{folder}: {', '.join(damaged)} missing or damaged; computing the result again")
    return not damaged


def _claim(plan: Plan, stage: Stage, folder: Path, inputs: dict[str, str]) -> None:
    """Make sure that the folder belongs to this configuration and these inputs."""
    ingredients = plan.ingredients(stage.verb, stage.subject)
    marker = folder / INGREDIENTS
    if not marker.exists():
        _log_changes(stage, folder, ingredients)
        files.write_json(marker, {"ingredients": ingredients, "inputs": inputs})
        return
    recorded = files.read_object(marker, ingredients=dict, inputs=dict)
    if recorded["ingredients"] != ingredients:
        changes = _summary(differences(recorded["ingredients"], ingredients))
        raise UserError(f"{folder}: contains work of another configuration ({changes}); move that folder away")
    if recorded["inputs"] != inputs:
        _swap_inputs(folder, recorded["inputs"], inputs, ingredients)


def _swap_inputs(folder: Path, old: dict[str, str], new: dict[str, str], ingredients: dict[str, Any]) -> None:
    """Set work on the old inputs aside, and bring back work on the new ones that was set aside before."""
    aside = folder.with_name(f"{folder.name}.{_suffix(old)}")
    logger.info(f"{folder}: was computed from other data; kept as {aside.name}")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    back = folder.with_name(f"{folder.name}.{_suffix(new)}")
    if back.exists():
        back.rename(folder)
    else:
        files.write_json(folder / INGREDIENTS, {"ingredients": ingredients, "inputs": new})


def _suffix(inputs: dict[str, str]) -> str:
    return "-".join(digest[:8] for _, digest in sorted(inputs.items())) or "none"


def _log_changes(stage: Stage, folder: Path, ingredients: dict[str, Any]) -> None:
    """Before work starts in a new folder, log what changed since the newest work of the same name."""
    if stage.verb == "prepare" or not folder.parent.exists():
        return
    others = sorted(folder.parent.glob(f"*/{INGREDIENTS}"), key=lambda path: path.stat().st_mtime)
    if others:
        newest = others[-1]
        changes = differences(files.read_object(newest, ingredients=dict)["ingredients"], ingredients)
        if changes:
            logger.info(
                f"{stage.verb} {stage.name}: works in a new state folder, {folder.name}; "
                f"changed since {newest.parent.name}: {_summary(changes)}"
            )


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """Readable differences of two JSON values: `recipe.generator.lr: 0.0001 -> 0.0002`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{at}.{key}" if at else key)]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for i, pair in enumerate(zip(old, new, strict=True)) for line in differences(*pair, f"{at}.{i}")]
    return [] if old == new else [f"{at}: {_brief(old)} -> {_brief(new)}"]


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _summary(changes: list[str]) -> str:
    """The first three changes, and the number of others."""
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return "; ".join(changes[:3]) + more
