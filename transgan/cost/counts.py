"""Parameters, FLOPs and memory of this project's runs, counted in advance and stored in counts.json.

Counting takes minutes at the paper's sizes. A table must be quick and the same on every machine, so it reads the
file. `make generate` adds missing counts, keyed by everything they depend on. For a run that is not in the file (of
another params file, or with an edited recipe) `transgan plan` counts and stores the result in state/; a table leaves
the count out.
"""

import json
import logging
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from transgan.config.fingerprint import digest
from transgan.config.plan import Plan, Run, load
from transgan.pipeline.freshness import embedded_metadata
from transgan.schema import ModelConfig, RecipeConfig
from transgan.utils import files
from transgan.utils.exit_codes import one_line_exit

logger = logging.getLogger(__name__)

FILE = "counts.json"
# Raise it when transgan.cost.estimate changes what it counts: everything is then counted again.
VERSION = 2
# The keys of a recipe that operations per real image and memory depend on.
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
    "penalty_precision",
)


def eflop(plan: Plan, run_name: str) -> float | None:
    """EFLOP of training a run, at this scale if its results are comparable with the paper's, else of the full schedule.

    None if the run is not in counts.json.
    """
    run = plan.run(run_name) if plan.scale.comparable else full_schedule(plan, run_name)
    count = None if run is None else stored_counts().get(key(run))
    return None if run is None or count is None else count["gflop_per_image"] * run.recipe.images / 1e9


def counted(plan: Plan, run: Run) -> dict[str, Any]:
    """The fields of transgan.cost.estimate.Estimate for a run, and `total_eflop`.

    They come from counts.json or from state/, or are counted now.
    """
    file = plan.paths.state / "counts" / f"{key(run)}.json"
    count = stored_counts().get(key(run)) or embedded_metadata(file)
    if not _is_complete(count):
        logger.info(f"counting {run.name} ...")
        from transgan.cost.estimate import estimate  # imports torch, which is needed only here

        count = asdict(estimate(run))
        files.write_json(file, count)
    return {**count, "total_eflop": count["gflop_per_image"] * run.recipe.images / 1e9}


def _is_complete(count: dict[str, Any]) -> bool:
    """Whether a count has every field; a file in state/ may be damaged, or of another version."""
    fields = next(iter(stored_counts().values()))
    return all(isinstance(count.get(name), int | float) for name in fields)


def full_schedule(plan: Plan, run_name: str) -> Run | None:
    """A run without any scale's changes, that is with the full schedule; None if that is not a valid run."""
    model, recipe = plan.unscaled(run_name)
    run = plan.run(run_name)
    try:
        changes = {"model": ModelConfig.model_validate(model), "recipe": RecipeConfig.model_validate(recipe)}
    except ValidationError:
        return None
    return run.model_copy(update={**changes, "dataset": plan.params.datasets[run.dataset_name]})


def key(run: Run) -> str:
    """The key of a run's count in counts.json.

    Only values that differ from the defaults enter it, so that a new option leaves all existing counts valid.
    """
    recipe = run.recipe.model_dump(mode="json", exclude_defaults=True)
    if run.recipe.precision == "tf32":  # the operations and tensors of float32
        del recipe["precision"]
    # A regularizer that ends early costs less per image in a longer run.
    ends_early = any(term.until for term in run.recipe.regularizers.values())
    return digest(
        {
            "version": VERSION,
            "families": [run.model.generator.family, run.model.discriminator.family],
            "model": run.model.model_dump(mode="json", exclude_defaults=True),
            "resolution": run.dataset.resolution,
            "recipe": {name: recipe[name] for name in COUNTED if name in recipe},
            **({"images": run.recipe.images} if ends_early else {}),
        }
    )


@cache
def stored_counts() -> dict[str, dict[str, Any]]:
    """The content of counts.json: key -> the fields of transgan.cost.estimate.Estimate."""
    text = resources.files("transgan.cost").joinpath(FILE).read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = json.loads(text)
    return {entry: {name: value for name, value in count.items() if name != "run"} for entry, count in entries.items()}


def keyed_runs(params: Path | None = None) -> dict[str, Run]:
    """Key -> the first run with that key, over all runs of a params file with the full schedule and at each scale."""
    plan = load(params)
    full = [full_schedule(plan, name) for name in plan.params.runs]
    scaled = [run for scale in plan.params.scales for run in load(params, scale).runs.values()]
    return {key(run): run for run in reversed([*full, *scaled]) if run is not None}


def main() -> None:
    """Update counts.json for params.yaml: count missing entries and drop those that no run uses."""
    from transgan.cost.estimate import estimate

    path = Path(__file__).with_name(FILE)
    known = json.loads(path.read_text()) if path.exists() else {}
    runs = keyed_runs()
    counts = {entry: known[entry] for entry in runs if entry in known}
    files.write_json(path, counts)
    for entry, run in runs.items():
        if entry not in counts:
            print(f"counting {run.name} at {run.scale} ...", flush=True)
            counts[entry] = {"run": run.name, **asdict(estimate(run))}
            files.write_json(path, counts)  # after each count, since counting is slow and may be interrupted


if __name__ == "__main__":
    with one_line_exit():
        main()
