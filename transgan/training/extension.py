"""Continues a shorter run (`transgan train RUN --extend`): its newest checkpoint becomes one of the longer run.

The result is that of the longer run trained from the start. Therefore nothing that was trained or recorded so far may
depend on the length of training: the learning rate must be constant, and the snapshots of the longer run must be among
those of the shorter one. The moving average, the augmentation and all limits (`until`) depend on the images shown so
far only. Imports torch only where a checkpoint is read.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transgan.config.fingerprint import digest
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.workspace import INGREDIENTS, differences, locked
from transgan.schema import RecipeConfig
from transgan.utils import files

logger = logging.getLogger(__name__)

BEFORE_LAST_ROW = "meter_before_last_row"  # in a checkpoint at the end of training: see `_history`


@dataclass(frozen=True)
class Shorter:
    """Training of the same run for fewer images, in another state folder; `images` as at its newest checkpoint."""

    folder: Path
    fingerprint: str
    recipe: RecipeConfig
    images: int


def continue_shorter(plan: Plan, run_name: str, folder: Path, inputs: Mapping[str, str]) -> None:
    """Write a checkpoint to the state folder `folder` from which training continues a shorter run's.

    Does nothing if `folder` has a checkpoint that is as far. Raises UserError if there is no such run, if it cannot be
    continued to the same result, or if a process works on it.
    """
    own = newest_checkpoint(folder)
    shorter, nearest = _longest(plan, run_name, inputs)
    if shorter is None:
        if own:
            return
        parent = folder.parent
        raise UserError(
            f"train {run_name}: there is no shorter run to extend in {parent}; "
            + (f"the nearest has another configuration ({nearest}); " if nearest else "")
            + f"only `images` and `dynamics` of the recipe may differ; run `{plan.command('train', run_name)}` "
            "to train from the start"
        )
    if own >= shorter.images:
        return
    recipe = plan.run(run_name).recipe
    if reason := obstacle(shorter.recipe, recipe, shorter.images):
        raise UserError(
            f"train {run_name}: cannot be extended from {shorter.images:,} to {recipe.images:,} images: {reason}; "
            f"or run `{plan.command('train', run_name)}` to train from the start"
        )
    with locked(shorter.folder, f"train {run_name} ({shorter.recipe.images:,} images)"):
        _convert(plan, run_name, shorter, folder)


def hint(plan: Plan, run_name: str, folder: Path, inputs: Mapping[str, str]) -> None:
    """Where a run starts from the beginning although `--extend` would continue a shorter one, log how."""
    if newest_checkpoint(folder):
        return
    shorter, _ = _longest(plan, run_name, inputs)
    if shorter and obstacle(shorter.recipe, plan.run(run_name).recipe, shorter.images) is None:
        logger.info(
            f"train {run_name}: starts from the beginning; "
            f"`{plan.command('train', run_name, '--extend')}` would continue the {shorter.images:,} images of "
            f"{shorter.folder}"
        )


def obstacle(shorter: RecipeConfig, longer: RecipeConfig, images: int) -> str | None:
    """Why training by the recipe `longer` does not begin as `images` images by `shorter` did; None if it does."""
    for net in ("discriminator", "generator"):
        if shorter.images != longer.images and getattr(longer, net).schedule == "linear":
            return (
                f"`{net}.schedule: linear` lets the learning rate fall to zero at the end of training, "
                "so a longer run has another one from its first step on"
            )
    if reason := _missing_snapshot(shorter, longer, images):
        suggested = _suggested_dynamics(shorter, longer, images)
        return reason + (f"; write `dynamics: {suggested}` in the recipe to have those that exist" if suggested else "")
    return None


def newest_checkpoint(folder: Path) -> int:
    """Real images shown at the newest checkpoint of a state folder, by its name; 0 if there is none."""
    names = (path.stem.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*.json"))
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _missing_snapshot(shorter: RecipeConfig, longer: RecipeConfig, images: int) -> str | None:
    """The first snapshot before `images` that the longer run has and the shorter one lacks, in words.

    One at `images` itself is recorded when training continues.
    """
    for count in longer.snapshots:
        if count >= images:
            break
        if count not in shorter.snapshots:
            return f"by `dynamics` the longer run has a snapshot at {count:,} images, where the shorter one has none"
        if count in longer.fid_snapshots and count not in shorter.fid_snapshots:
            return f"by `dynamics` the longer run measures FID at {count:,} images, where the shorter one did not"
    return None


def _suggested_dynamics(shorter: RecipeConfig, longer: RecipeConfig, images: int) -> str | None:
    """Settings of `dynamics` whose snapshots are those of the shorter run, as YAML; None if there are none."""
    measured = shorter.fid_snapshots if longer.dynamics.fid_samples else shorter.snapshots
    settings = {
        "points": min(shorter.dynamics.points, 3),
        "first": shorter.dynamics.first,
        "at": tuple(count for count in measured if 0 < count <= images),
    }
    dynamics = longer.dynamics.model_copy(update=settings)
    if _missing_snapshot(shorter, longer.model_copy(update={"dynamics": dynamics}), images):
        return None
    at = ", ".join(map(str, dynamics.at))
    return f"{{points: {dynamics.points}, first: {dynamics.first}, at: [{at}], ...}}"


def _longest(plan: Plan, run_name: str, inputs: Mapping[str, str]) -> tuple[Shorter | None, str]:
    """The shorter run that has come furthest, and what else differs in the configuration that is nearest."""
    own = plan.paths.workspace("train", run_name, plan.fingerprint("train", run_name))
    wanted, length = _without_length(plan.ingredients("train", run_name))
    found: list[Shorter] = []
    nearest: list[str] = []
    for marker in sorted(own.parent.glob(f"*/{INGREDIENTS}")):
        if marker.parent.name.partition(".")[0] == own.name:  # itself, also computed again or from other data
            continue
        try:
            recorded = files.read_object(marker, ingredients=dict, inputs=dict)
            ingredients, shorter_length = _without_length(recorded["ingredients"])
            recipe = RecipeConfig.model_validate(recorded["ingredients"]["recipe"])
        except (UserError, ValueError, KeyError, TypeError, AttributeError):  # of another version, or damaged
            continue
        changes = [*differences(ingredients, wanted), *differences(recorded["inputs"], dict(inputs), "data")]
        if shorter_length > length:
            changes.append(f"recipe.images: {shorter_length} -> {length}")
        images = newest_checkpoint(marker.parent)
        if not images:
            changes.append("no checkpoint is left")
        if not changes:
            found.append(Shorter(marker.parent, digest(recorded["ingredients"]), recipe, images))
        elif not nearest or len(changes) < len(nearest):
            nearest = changes
    return max(found, key=lambda shorter: shorter.images, default=None), "; ".join(nearest[:3])


def _without_length(ingredients: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Ingredients of a fingerprint without what may differ, and the length of training."""
    recipe = dict(ingredients["recipe"])
    length = int(recipe.pop("images"))
    dynamics = {key: recipe["dynamics"][key] for key in ("latents", "fid_samples")}
    return {**ingredients, "recipe": {**recipe, "dynamics": dynamics}}, length


def _convert(plan: Plan, run_name: str, shorter: Shorter, folder: Path) -> None:
    """Write the shorter run's newest good checkpoint to `folder` as one of the longer run."""
    from transgan.metrics import training_fid
    from transgan.training.checkpoint import Checkpoints

    recipe, keep = plan.run(run_name).recipe, plan.params.execution.keep_checkpoints
    state = Checkpoints(shorter.folder, shorter.fingerprint, keep).load()
    if state is None:
        raise UserError(f"{shorter.folder}: its checkpoints are gone; train from the start")
    images = state["trainer"]["step"] * recipe.batch
    if images <= newest_checkpoint(folder):  # the newest ones of the shorter run are damaged
        return
    _history(state, recipe, images)
    state["dynamics"] = _snapshots(state["dynamics"], recipe, images)
    measured = [(record["images"], record["fid"]) for record in state["dynamics"] if math.isfinite(record["fid"])]
    if measured:
        training_fid.write(folder, measured)
    Checkpoints(folder, plan.fingerprint("train", run_name), keep).save(images, state)
    logger.info(
        f"train {run_name}: continues the run of {shorter.recipe.images:,} images in {shorter.folder}, "
        f"at {images:,} of {recipe.images:,} images"
    )


def _history(state: dict[str, Any], recipe: RecipeConfig, images: int) -> None:
    """Take the last row of the history back if only the end of training made it due, and what it is the mean of."""
    rows = state["history"]
    last = int(rows[-1]["images"]) if rows else 0
    before = int(rows[-2]["images"]) if len(rows) > 1 else 0
    if last == images and last // recipe.log_images == before // recipe.log_images:
        if not state.get(BEFORE_LAST_ROW):
            raise UserError(
                f"cannot be extended from {images:,} images, because {images:,} is no multiple of `log_images: "
                f"{recipe.log_images}` and the checkpoint is of an earlier version; train from the start"
            )
        state["history"], state["trainer"]["meter"] = rows[:-1], state[BEFORE_LAST_ROW]
    state.pop(BEFORE_LAST_ROW, None)


def _snapshots(records: list[dict[str, Any]], recipe: RecipeConfig, images: int) -> list[dict[str, Any]]:
    """The snapshots before `images` that the longer run has, with FID where it measures it."""
    wanted = [count for count in recipe.snapshots if count < images]
    by_count = {record["images"]: record for record in records}
    measured = set(recipe.fid_snapshots)
    return [by_count[count] | ({} if count in measured else {"fid": math.nan}) for count in wanted]
