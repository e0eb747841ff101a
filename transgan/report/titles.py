"""Titles of runs and datasets in figures, from the tables that name them: `TransGAN, CIFAR-10, 32 x 32`."""

import re
from collections import Counter
from collections.abc import Sequence

from transgan.config.plan import Plan
from transgan.schema.report import Column
from transgan.utils.escape import plot_text

# The source that stands in for every dataset of the demo.
STAND_IN = "digits"


def run_titles(plan: Plan, runs: Sequence[str]) -> dict[str, str]:
    """A title for each run, as text of a plot: its row, the dataset, and the side of its images in pixels.

    Where digits stand in for a dataset, the title says so: `TransGAN as on CIFAR-10 (digits, 8 x 8)`. A run that no
    table names is called by its title in params.yaml, or by its own name. Runs that would share a title, such as
    training seeds, are told apart by their names.
    """
    titles = {run: plot_text(_title(plan, run)) for run in runs}
    shared = Counter(titles.values())
    return {run: title if shared[title] == 1 else f"{title} ({run})" for run, title in titles.items()}


def dataset_title(plan: Plan, column: Column) -> str:
    """A column's dataset with the side of its images: `CelebA, 64 x 64`, `CelebA 64 (digits, 8 x 8)`."""
    dataset = plan.dataset(column.dataset)
    size = f"{dataset.resolution} x {dataset.resolution}"
    if _digits_stand_in(plan, column.dataset):
        return f"{column.title} ({STAND_IN}, {size})"
    return f"{re.sub(rf' {dataset.resolution}$', '', column.title)}, {size}"


def _title(plan: Plan, name: str) -> str:
    run, table = plan.run(name), plan.naming_table(name)
    if table is None:
        return f"{plan.own_title(name) or name}, {run.dataset.resolution} x {run.dataset.resolution}"
    config = plan.table(table)
    row, dataset = next((row, dataset) for row in config.rows for dataset, runs in row.runs.items() if name in runs)
    column = next(column for column in config.columns if column.dataset == dataset)
    joint = " as on " if _digits_stand_in(plan, dataset) else ", "
    return f"{row.title or row.name}{joint}{dataset_title(plan, column)}"


def _digits_stand_in(plan: Plan, dataset: str) -> bool:
    return plan.dataset(dataset).source == STAND_IN != dataset
