"""Sizes, operations and memory of the product's own runs, counted beforehand (counts.json), so that a table or a plan can say them at once.

Counting takes minutes at the paper's sizes, and a table must not, and must be the same on every machine. `make generate` counts what is missing
in the file, keyed by all that the counts depend on. What is not in it (a run of another params file, or of an edited recipe) `transgan plan`
counts and remembers, and a table leaves out.
"""

import json
import logging
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from transgan.config.plan import Plan, Run, digest, load, merge
from transgan.pipeline.freshness import carried
from transgan.schema import ModelConfig, RecipeConfig
from transgan.utils import files

logger = logging.getLogger(__name__)


FILE = "counts.json"
# Raise when transgan.cost.estimate counts differently: everything is then counted again.
VERSION = 1
# Of a recipe, what operations per real image and memory depend on.
COUNTED = (
    "batch",
    "generator_batch",
    "n_critic",
    "micro_batch",
    "d_loss",
    "g_loss",
    "regularizers",
    "augment",
    "style_mixing",
    "leak_generator_gradient",
    "checkpoint_activations",
    "devices",
    "precision",
)


def eflop(plan: Plan, run_name: str) -> float | None:
    """EFLOP of training a run: at this scale where its numbers compare with the paper's, else of the full schedule; None: not in the file."""
    run = plan.run(run_name) if plan.scale.comparable else in_full(plan, run_name)
    found = None if run is None else shipped().get(key(run))
    return None if run is None or found is None else found["gflop_per_image"] * run.recipe.images / 1e9


def counted(plan: Plan, run: Run) -> dict[str, Any]:
    """What transgan.cost.estimate.Estimate has of a run, and its `total_eflop`: as shipped, as remembered in state/, or counted now."""
    remembered = plan.paths.state / "counts" / f"{key(run)}.json"
    found = shipped().get(key(run)) or carried(remembered)
    if not found:
        logger.info(f"counting {run.name} ...")
        from transgan.cost.estimate import estimate

        found = asdict(estimate(run))
        files.write_json(remembered, found)
    return {**found, "total_eflop": found["gflop_per_image"] * run.recipe.images / 1e9}


def in_full(plan: Plan, run_name: str) -> Run | None:
    """A run without any scale's changes; None where that is no valid run."""
    entry = plan.params.runs[run_name]
    try:
        model = ModelConfig.model_validate(merge(plan.params.models[entry.model].plain(), entry.changes.model))
        recipe = RecipeConfig.model_validate(merge(plan.params.recipes[entry.recipe].plain(), entry.changes.recipe))
    except ValidationError:
        return None
    return plan.run(run_name).model_copy(
        update={"model": model, "recipe": recipe, "dataset": plan.params.datasets[entry.dataset]}
    )


def key(run: Run) -> str:
    """What a count is filed under: all that is not as by default, so that a new option does not make every count unknown."""
    recipe = run.recipe.model_dump(mode="json", exclude_defaults=True)
    return digest(
        {
            "version": VERSION,
            "families": [run.model.generator.family, run.model.discriminator.family],
            "model": run.model.model_dump(mode="json", exclude_defaults=True),
            "resolution": run.dataset.resolution,
            "recipe": {name: recipe[name] for name in COUNTED if name in recipe},
        }
    )


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """Key -> what was counted, as transgan.cost.estimate.Estimate has it."""
    found: dict[str, dict[str, Any]] = json.loads(
        resources.files("transgan.cost").joinpath(FILE).read_text(encoding="utf-8")
    )
    return {entry: {name: value for name, value in counts.items() if name != "run"} for entry, counts in found.items()}


def wanted(params: Path | None = None) -> dict[str, Run]:
    """Key -> the first run that has it, over all runs of a params file, at each of its scales and without a scale's changes."""
    plan = load(params)
    full = [in_full(plan, name) for name in plan.params.runs]
    scaled = [run for scale in plan.params.scales for run in load(params, scale).runs.values()]
    return {key(run): run for run in reversed([*full, *scaled]) if run is not None}


def main() -> None:
    """Write counts.json anew for params.yaml: what is there is kept, what is missing counted, what nothing refers to left out."""
    from transgan.cost.estimate import estimate

    path = Path(__file__).with_name(FILE)
    known = json.loads(path.read_text()) if path.exists() else {}
    runs = wanted()
    counts = {entry: known[entry] for entry in runs if entry in known}
    files.write_json(path, counts)
    for entry, run in runs.items():
        if entry not in counts:
            logger.info(f"counting {run.name} at {run.scale} ...")
            counts[entry] = {"run": run.name, **asdict(estimate(run))}
            files.write_json(path, counts)  # now: counting is slow, and may be stopped


if __name__ == "__main__":
    main()
