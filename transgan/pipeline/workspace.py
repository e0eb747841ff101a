"""Finished work is never lost: every costly stage works in a state folder of its own and keeps what it finished there.

`state/<scale>/<stage>/<name>/<fingerprint>/` holds ingredients.json (what the fingerprint was taken of), whatever the stage needs to go
on after an interruption, the finished outputs, and finished.json (their digests, and those of the inputs they were made from). The declared
outputs are hard links to (or copies of) the finished ones, so an orchestrator that deletes them costs seconds.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from transgan.config.paths import StageName, StageSubject
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.utils import files

logger = logging.getLogger(__name__)


Work = Callable[[Path], Mapping[str, str] | None]


def run_stage(
    plan: Plan,
    stage: StageName,
    subject: StageSubject,
    outputs: Mapping[str, Path],
    work: Work,
    inputs: Mapping[str, str] | None = None,
) -> bool:
    """Make a stage's declared outputs: from finished work if there is any, else by calling `work(folder)`, which may be gone on with.

    `outputs` maps a file name inside the folder, which `work` must write, to its declared path; `work` may return the SHA-256 of some, which
    are then not read once more. `inputs` are digests of what the result is
    made from besides the configuration (the data's content): finished work made from other inputs is set aside, not used and not deleted.
    Returns whether `work` was called. Raises UserError when another process holds the folder or when it belongs to another configuration.
    """
    folder = plan.paths.workspace(stage, subject, plan.fingerprint(stage, subject))
    with locked(
        folder, f"{stage} {subject}", wait=stage == "prepare"
    ):  # one pack may serve several datasets: the second waits for it
        _claim(plan, stage, subject, folder, dict(inputs or {}))
        worked = not is_finished(folder, outputs)
        if worked:
            (folder / "finished.json").unlink(missing_ok=True)
            known = work(folder) or {}
            files.write_json(
                folder / "finished.json",
                {"outputs": {key: known.get(key) or files.sha256(folder / key) for key in outputs}},
            )
        else:
            logger.info(f"{stage} {subject}: already finished ({folder})")
        for key, target in outputs.items():
            files.link_or_copy(folder / key, target)
    return worked


def locked(folder: Path, what: str, wait: bool = False) -> AbstractContextManager[None]:
    """Hold a state folder; a second process waits, or is told so (UserError)."""
    return files.lock(folder.with_name(f".{folder.name}.lock"), what, wait)


def is_finished(folder: Path, outputs: Mapping[str, Path] | None = None) -> bool:
    """Whether the folder holds a finished result whose files are all there, undamaged, and are the ones asked for."""
    marker = folder / "finished.json"
    if not marker.exists():
        return False
    recorded: dict[str, str] = files.read_json(marker)["outputs"]
    if outputs is not None and set(recorded) != set(outputs):
        return False
    damaged = [
        key for key, digest in recorded.items() if not (folder / key).exists() or files.sha256(folder / key) != digest
    ]
    if damaged:
        logger.warning(f"{folder}: {', '.join(damaged)} missing or damaged; made again")
    return not damaged


def _claim(plan: Plan, stage: StageName, subject: StageSubject, folder: Path, inputs: dict[str, str]) -> None:
    """Make sure that what the folder holds, if anything, belongs to this configuration and these inputs."""
    ingredients = plan.ingredients(stage, subject)
    marker = folder / "ingredients.json"
    if not marker.exists():
        _say_difference(plan, stage, subject, folder, ingredients)
        files.write_json(marker, {"ingredients": ingredients, "inputs": inputs})
        return
    held = files.read_json(marker)
    if held["ingredients"] != ingredients:
        raise UserError(
            f"{folder}: holds work of another configuration ({_first_difference(held['ingredients'], ingredients)}); move that folder away"
        )
    if held["inputs"] != inputs:
        _swap_inputs(folder, held["inputs"], inputs, ingredients)


def _swap_inputs(folder: Path, old: dict[str, str], new: dict[str, str], ingredients: dict[str, Any]) -> None:
    """Set work made from other inputs aside, and bring back what an earlier call set aside for these."""
    aside = folder.with_name(f"{folder.name}.{_inputs_name(old)}")
    logger.info(f"{folder}: was made from other data; kept as {aside.name}")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    back = folder.with_name(f"{folder.name}.{_inputs_name(new)}")
    if back.exists():
        back.rename(folder)
    else:
        files.write_json(folder / "ingredients.json", {"ingredients": ingredients, "inputs": new})


def _inputs_name(inputs: dict[str, str]) -> str:
    return "-".join(digest[:8] for _, digest in sorted(inputs.items())) or "none"


def _say_difference(
    plan: Plan, stage: StageName, subject: StageSubject, folder: Path, ingredients: dict[str, Any]
) -> None:
    """Before starting in a fresh folder, say what changed since the newest work on the same name."""
    if stage == "prepare" or not folder.parent.exists():
        return
    others = sorted(folder.parent.glob("*/ingredients.json"), key=lambda path: path.stat().st_mtime)
    if others:
        held = files.read_json(others[-1])["ingredients"]
        logger.info(
            f"{stage} {subject}: starting anew in {folder.name}; changed since {others[-1].parent.name}: {_first_difference(held, ingredients)}"
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


def _first_difference(old: Any, new: Any) -> str:
    found = differences(old, new)
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more
