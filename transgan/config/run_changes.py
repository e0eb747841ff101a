"""Runs that a command line defines: a run of the params file with some values changed (`--set recipe.n_critic=2`).

Such a run has a name of its own, so it neither overwrites the run that it changes nor is taken for it. No table names
it, and neither front-end knows it.
"""

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from transgan.config.params_file import load_yaml, yaml_problem
from transgan.config.plan import Plan, merge
from transgan.config.validation import lookup, validated
from transgan.errors import UserError
from transgan.schema import ModelConfig, RecipeConfig
from transgan.schema.params import RunAtScale

_OPTION = Path("--set")  # where messages of the params file name the file
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MOST_CHARACTERS = 120  # of a name, which becomes that of folders


def with_changed_run(plan: Plan, run_name: str, settings: Sequence[str], name: str | None) -> tuple[Plan, str]:
    """A plan that also has the run `run_name` changed by `settings`, each KEY=VALUE, and the name of that run.

    KEY is `seed`, or a path of keys below `recipe` or `model`; VALUE is YAML. The name is `name`, or the run's with the
    settings: `transgan-cifar10+n_critic=2`. Raises UserError, with the nearest valid name, for a key or value that no
    params file could have, and for a name that is in use.
    """
    base = plan.run(run_name)
    if not settings:
        raise UserError("--as names a run that --set changes; add for example --set recipe.n_critic=2")
    changes: dict[str, Any] = {}
    for setting in settings:
        changes = merge(changes, _parsed(setting))
    validated(ModelConfig, merge(base.model.plain(), changes.get("model", {})), _OPTION, "model")
    validated(RecipeConfig, merge(base.recipe.plain(), changes.get("recipe", {})), _OPTION, "recipe")
    new = _checked_name(plan, name) if name is not None else _automatic_name(run_name, settings)
    entry, at_scale = plan.params.runs[run_name], plan.scale.runs[run_name]
    at_scale = RunAtScale(
        model=merge(at_scale.model, changes.get("model", {})), recipe=merge(at_scale.recipe, changes.get("recipe", {}))
    )
    seed = changes.get("seed", entry.seed)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"--set seed={seed}: a seed is an integer from 0")
    scale = plan.scale.model_copy(update={"runs": {**plan.scale.runs, new: at_scale}})
    params = plan.params.model_copy(
        update={
            "runs": {**plan.params.runs, new: entry.model_copy(update={"seed": seed, "title": None})},
            "scales": {**plan.params.scales, plan.scale_name: scale},
        }
    )
    options = [word for setting in settings for word in ("--set", setting)] + (["--as", name] if name else [])
    changed = dataclasses.replace(plan, params=params, changed_run=(new, (run_name, *options)))
    changed.run(new)  # raises if the model does not fit the dataset
    return changed, new


def _parsed(setting: str) -> dict[str, Any]:
    """`recipe.n_critic=2` as nested dicts."""
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not text.strip() or not all(keys):
        raise UserError(f"--set {shlex.quote(setting)}: write KEY=VALUE, for example --set recipe.n_critic=2")
    lookup(dict.fromkeys(("recipe", "model", "seed")), keys[0], "key", _OPTION, f"{path}: ")
    if (len(keys) == 1) != (keys[0] == "seed"):
        what = "a seed has no keys" if keys[0] == "seed" else f"name a key below {keys[0]}"
        raise UserError(f"--set {shlex.quote(setting)}: {what}")
    try:
        value = load_yaml(text)
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"--set {shlex.quote(setting)}: the value is no YAML ({yaml_problem(error)})") from None
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _automatic_name(run_name: str, settings: Sequence[str]) -> str:
    """The run's name and the settings, in an order of their own; `recipe.` is left out."""
    parts = sorted(re.sub(r"\s", "", setting).removeprefix("recipe.") for setting in settings)
    name = "+".join((run_name, *parts))
    if re.search(r"[/\x00-\x1f]", name) or len(name) > _MOST_CHARACTERS:
        raise UserError("these settings are too long or too special for a name of a run; add --as NAME")
    return name


def _checked_name(plan: Plan, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UserError(f"--as {shlex.quote(name)}: use small letters, digits and hyphens between them")
    if name in plan.params.runs:
        raise UserError(f"--as {name}: {plan.file} has a run of that name; choose another")
    return name


def check_free(plan: Plan, name: str, recorded: Mapping[str, Any]) -> None:
    """Raise UserError if `recorded`, the run.json at the run's place, belongs to other settings."""
    fingerprint = recorded.get("fingerprint")
    if fingerprint not in (None, plan.fingerprint("train", name)):
        raise UserError(
            f"{plan.paths.run(name)}: has the results of other settings under this name; choose another with --as, or "
            "move that folder away"
        )
