"""Runs whose networks differ in the form of self-attention only: what `transgan seams` compares.

Imports neither pandas nor torch, because Snakemake reads it in every job.
"""

import json
from typing import Any

from transgan.config.plan import Plan, Run
from transgan.schema.model import TransformerGenerator

FORM = ("attention", "window", "landmarks")  # the keys of a form of self-attention (transgan.schema.model.Attention)


def tile_sides(run: Run) -> tuple[int, ...]:
    """Sides in pixels of the tiles of a run's generator; none without grid self-attention, and for other families."""
    generator = run.model.generator
    return generator.tile_sides if isinstance(generator, TransformerGenerator) else ()


def form(run: Run) -> str:
    """The form of self-attention in the generator's largest map: `grid, tiles of 4 x 4`; of others the family."""
    generator = run.model.generator
    if not isinstance(generator, TransformerGenerator):
        return str(generator.family)
    groups = [group for stage in generator.stages for group in stage.blocks if group.depth]
    if not groups:
        return "none"
    last = groups[-1].resolve(generator.wide)
    return f"grid, tiles of {last.window} x {last.window}" if last.attention == "grid" else last.attention


def same_but_for_attention(plan: Plan, name: str) -> tuple[str, ...]:
    """`name` and the scheduled runs that differ from it in nothing but the form of attention and the seed."""
    key = _key(plan.run(name))
    others = [other for other, run in plan.scheduled_runs.items() if other != name and _key(run) == key]
    return (name, *others)


def seam_runs(plan: Plan) -> tuple[str, ...]:
    """The first scheduled run with tiles of every group of runs that has another form of attention, too."""
    found: dict[str, str] = {}
    for name, run in plan.scheduled_runs.items():
        forms = {form(plan.run(other)) for other in same_but_for_attention(plan, name)}
        if tile_sides(run) and len(forms) > 1:
            found.setdefault(_key(run), name)
    return tuple(found.values())


def _key(run: Run) -> str:
    """What a run is, apart from the form of attention of its networks, its seed and its protocol."""
    return json.dumps([run.dataset_name, _without_form(run.model.plain()), run.recipe.plain()], sort_keys=True)


def _without_form(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_form(value) for key, value in content.items() if key not in FORM}
    return [_without_form(each) for each in content] if isinstance(content, list) else content
