"""Operations of the product's own runs, counted beforehand (counts.json), so that a table can say at once what a run that nobody made would cost.

Counting takes minutes at the paper's sizes, and a table must not, and must be the same on every machine. `make generate` counts what is missing
in the file: per real image, keyed by all that the count depends on. A run that is not in it (of another params file, or of an edited recipe)
is priced by `transgan plan` alone.
"""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from transgan import files
from transgan.console import say
from transgan.plan import Plan, Run, digest, load, merge
from transgan.schema import ModelConfig, RecipeConfig

FILE = "counts.json"
# Of a recipe, what the operations per real image depend on; batches by their ratio, and by what is one forward pass.
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
)


def eflop(plan: Plan, run_name: str) -> float | None:
    """EFLOP of training a run: at this scale where its numbers compare with the paper's, else of the full schedule; None: not in the file."""
    run = plan.run(run_name) if plan.scale.comparable else in_full(plan, run_name)
    gflop = None if run is None else shipped().get(key(run))
    return None if run is None or gflop is None else gflop * run.recipe.images / 1e9


def in_full(plan: Plan, run_name: str) -> Run | None:
    """A run without any scale's changes; None where that is no valid run."""
    entry = plan.params.runs[run_name]
    try:
        model = ModelConfig.model_validate(merge(plan.params.models[entry.model].plain(), entry.changes.model))
        recipe = RecipeConfig.model_validate(merge(plan.params.recipes[entry.recipe].plain(), entry.changes.recipe))
    except ValidationError:
        return None
    return plan.run(run_name).model_copy(update={"model": model, "recipe": recipe, "dataset": plan.params.datasets[entry.dataset]})


def key(run: Run) -> str:
    """What a count is filed under: all that is not as by default, so that a new option does not make every count unknown."""
    recipe = run.recipe.model_dump(mode="json", exclude_defaults=True)
    return digest(
        {
            "families": [run.model.generator.family, run.model.discriminator.family],
            "model": run.model.model_dump(mode="json", exclude_defaults=True),
            "resolution": run.dataset.resolution,
            "recipe": {name: recipe[name] for name in COUNTED if name in recipe},
        }
    )


@cache
def shipped() -> dict[str, float]:
    """Key -> GFLOP per real image, as far as it was counted."""
    found: dict[str, Any] = json.loads(resources.files("transgan").joinpath(FILE).read_text(encoding="utf-8"))
    return {entry: float(value["gflop_per_image"]) for entry, value in found.items()}


def wanted(plan: Plan) -> dict[str, Run]:
    """Key -> the first run that has it, over all runs of the plan without a scale's changes."""
    runs = [run for name in plan.params.runs if (run := in_full(plan, name)) is not None]
    return {key(run): run for run in reversed(runs)}


def main() -> None:
    """Write counts.json anew for params.yaml: what is there is kept, what is missing counted, what nothing refers to left out."""
    from transgan.estimate import gflop_per_image

    path = Path(__file__).with_name(FILE)
    known = json.loads(path.read_text()) if path.exists() else {}
    runs = wanted(load())
    counts = {entry: known[entry] for entry in runs if entry in known}
    files.write_json(path, counts)
    for entry, run in runs.items():
        if entry not in counts:
            say(f"counting {run.name} ...")
            counts[entry] = {"run": run.name, "gflop_per_image": round(gflop_per_image(run), 6)}
            files.write_json(path, counts)  # now: counting is slow, and may be stopped


if __name__ == "__main__":
    main()
