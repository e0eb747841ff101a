"""The verbs of the stages, which Snakemake and DVC call: arguments, and which function computes the stage.

Each verb imports what it needs itself, so that `--help` answers in under a second and finished stages need no torch.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from transgan.commands.loading import load_plan
from transgan.commands.options import (
    Again,
    ChangedName,
    ChangedValues,
    ClassifierName,
    DatasetName,
    Extend,
    FigureName,
    GeneratorLike,
    GeneratorSource,
    ParamsFile,
    PublishedStatistics,
    ReferenceDataset,
    ReferenceProtocol,
    RunName,
    Scale,
    TableName,
)
from transgan.commands.success import reported
from transgan.errors import UserError

if TYPE_CHECKING:
    from transgan.config.paths import StageName
    from transgan.config.plan import Plan


def resolve(scale: Scale = None, params: ParamsFile = None) -> None:
    """Write the resolved configuration of every stage to results/<scale>/config, for DVC."""
    plan = load_plan(params, scale)
    from transgan.pipeline import resolved_configs

    resolved_configs.write(plan)


def fetch(dataset: DatasetName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Download a dataset's archives, or check those already here. Writes source.json."""
    plan = load_plan(params, scale)
    from transgan.data import fetch as stage

    with reported(plan, "fetch", dataset):
        stage.fetch(plan, dataset)


def prepare(dataset: DatasetName, again: Again = False, scale: Scale = None, params: ParamsFile = None) -> None:
    """Decode, crop, resize and pack a dataset into uint8 arrays."""
    plan = load_plan(params, scale)
    from transgan.data import prepare as stage

    with reported(plan, "prepare", dataset):
        stage.prepare(plan, dataset, again)


def classifier(name: ClassifierName, again: Again = False, scale: Scale = None, params: ParamsFile = None) -> None:
    """Train the demo's digit classifier, which stands in for Inception."""
    plan = load_plan(params, scale)
    from transgan.scoring import classifier as stage

    with reported(plan, "classifier", name):
        stage.train(plan, name, again)


def reference(
    dataset: ReferenceDataset = None,
    protocol: ReferenceProtocol = None,
    published: PublishedStatistics = None,
    again: Again = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Compute the reference statistics of a dataset under a protocol, once for all runs, or import published ones."""
    plan = load_plan(params, scale)
    from transgan.config.reference_key import ReferenceKey
    from transgan.scoring import reference as stage

    with ExitStack() as stack:
        if dataset in plan.datasets and protocol in plan.protocols and not plan.protocols[protocol].statistics:
            stack.enter_context(reported(plan, "reference", ReferenceKey(dataset, protocol)))
        stage.run(plan, dataset, protocol, published, again)


def train(
    run: RunName,
    extend: Extend = False,
    again: Again = False,
    changed: ChangedValues = None,
    name: ChangedName = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Train a run. An interrupted run resumes from its newest checkpoint."""
    plan, run = _changed(load_plan(params, scale), run, changed, name)
    from transgan import tracking
    from transgan.training import train as stage

    with reported(plan, "train", run):
        stage.train(plan, run, extend, again)
    if plan.changed_run:  # no table will log it
        tracking.record_run(plan, run)


def score(
    target: GeneratorSource,
    like: GeneratorLike = None,
    again: Again = False,
    changed: ChangedValues = None,
    name: ChangedName = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Score a run under its protocol, or a generator file under the protocol of a run."""
    plan = load_plan(params, scale)
    from transgan import tracking
    from transgan.metrics.generator_files import is_generator_file
    from transgan.scoring import score as stage

    if is_generator_file(plan, target):
        if again or changed or name:
            raise UserError(f"--again, --set and --as are for runs, and {target} is a generator file; leave them out")
        stage.score_file(plan, Path(target), like)
        return
    if like is not None:
        raise UserError(f"--like is for generator files, and {target} is a run; leave --like out")
    plan, run = _changed(plan, target, changed, name)
    with reported(plan, "score", run):
        stage.score(plan, run, again)
    if plan.changed_run:
        tracking.record_run(plan, run)
    else:
        tracking.record_scores(plan, run)


def table(name: TableName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Write a table as CSV, Markdown and LaTeX."""
    plan = load_plan(params, scale)
    from transgan.report import tables as stage

    with reported(plan, "table", name):
        stage.make(plan, name)
        _remember(plan, "table", name)


def cells(scale: Scale = None, params: ParamsFile = None) -> None:
    """Write the cells of all tables to one CSV file, and log short runs to MLflow."""
    plan = load_plan(params, scale)
    from transgan import tracking
    from transgan.report import cells_frame as stage

    with reported(plan, "cells", "all"):
        stage.write(plan)
        _remember(plan, "cells", "all")
    tracking.record_short_runs(plan)


def figure(name: FigureName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Draw a figure as PNG and PDF."""
    plan = load_plan(params, scale)
    from transgan.report import figures as stage

    with reported(plan, "figure", name):
        stage.make(plan, name)
        _remember(plan, "figure", name)


def _changed(plan: "Plan", run: str, settings: list[str] | None, name: str | None) -> tuple["Plan", str]:
    """The plan and the name of the run that `--set` and `--as` define; as given without them."""
    if not settings and name is None:
        return plan, run
    from transgan.config.run_changes import check_free, with_changed_run
    from transgan.pipeline.freshness import embedded_metadata

    plan, new = with_changed_run(plan, run, settings or [], name)
    if name is not None:
        check_free(plan, new, embedded_metadata(plan.paths.run(new) / "run.json"))
    return plan, new


def _remember(plan: "Plan", verb: "StageName", name: str) -> None:
    from transgan.pipeline.freshness import remember
    from transgan.pipeline.stages import stage

    remember(plan, stage(plan, verb, name))


VERBS = (resolve, fetch, prepare, classifier, reference, train, score, table, cells, figure)
