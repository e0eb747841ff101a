"""Titles of runs in figures: `TransGAN, CIFAR-10, 32 x 32`, from the rows and columns of the tables that name them."""

import re
from collections import Counter
from collections.abc import Sequence

from transgan.config.plan import Plan

# The source that stands in for every dataset of the demo.
STAND_IN = "digits"


def run_titles(plan: Plan, runs: Sequence[str]) -> dict[str, str]:
    """A title for each run: the row that it is in, the dataset, and the side of its images in pixels.

    Where digits stand in for a dataset, the title says so: `TransGAN as on CIFAR-10 (digits, 8 x 8)`. A run that no
    table names is called by its own name. Runs that would share a title, such as training seeds, are told apart by
    their names.
    """
    titles = {run: _title(plan, run) for run in runs}
    shared = Counter(titles.values())
    return {run: title if shared[title] == 1 else f"{title} ({run})" for run, title in titles.items()}


def _title(plan: Plan, name: str) -> str:
    run, table = plan.run(name), plan.naming_table(name)
    side = run.dataset.resolution
    if table is None:
        return f"{name}, {side} x {side}"
    config = plan.table(table)
    row, dataset = next((row, dataset) for row in config.rows for dataset, runs in row.runs.items() if name in runs)
    column = next(column.title for column in config.columns if column.dataset == dataset)
    title = row.title or row.name
    if run.dataset.source == STAND_IN != run.dataset_name:
        return f"{title} as on {column} ({STAND_IN}, {side} x {side})"
    return f"{title}, {re.sub(rf' {side}$', '', column)}, {side} x {side}"
