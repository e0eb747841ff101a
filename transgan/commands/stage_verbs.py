"""The verbs of the stages, which Snakemake and DVC call: arguments, and which function computes the stage.

Each verb imports what it needs itself, so that `--help` answers in under a second and finished stages need no torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from transgan.commands.loading import load_plan
from transgan.commands.options import (
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

    stage.fetch(plan, dataset)


def prepare(dataset: DatasetName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Decode, crop, resize and pack a dataset into uint8 arrays."""
    plan = load_plan(params, scale)
    from transgan.data import prepare as stage

    stage.prepare(plan, dataset)


def classifier(name: ClassifierName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Train the demo's digit classifier, which stands in for Inception."""
    plan = load_plan(params, scale)
    from transgan.scoring import classifier as stage

    stage.train(plan, name)


def reference(
    dataset: ReferenceDataset = None,
    protocol: ReferenceProtocol = None,
    published: PublishedStatistics = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Compute the reference statistics of a dataset under a protocol, once for all runs, or import published ones."""
    plan = load_plan(params, scale)
    from transgan.scoring import reference as stage

    stage.run(plan, dataset, protocol, published)


def train(run: RunName, extend: Extend = False, scale: Scale = None, params: ParamsFile = None) -> None:
    """Train a run. An interrupted run resumes from its newest checkpoint."""
    plan = load_plan(params, scale)
    from transgan.training import train as stage

    stage.train(plan, run, extend)


def score(
    target: GeneratorSource,
    like: GeneratorLike = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Score a run under its protocol, or a generator file under the protocol of a run."""
    plan = load_plan(params, scale)
    from transgan import tracking
    from transgan.metrics.generator_files import is_generator_file
    from transgan.scoring import score as stage

    if is_generator_file(plan, target):
        stage.score_file(plan, Path(target), like)
        return
    if like is not None:
        raise UserError(f"--like is for generator files, and {target} is a run; leave --like out")
    stage.score(plan, target)
    tracking.record_scores(plan, target)


def table(name: TableName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Write a table as CSV, Markdown and LaTeX."""
    plan = load_plan(params, scale)
    from transgan.report import tables as stage

    stage.make(plan, name)
    _remember(plan, "table", name)


def cells(scale: Scale = None, params: ParamsFile = None) -> None:
    """Write the cells of all tables to one CSV file, and log short runs to MLflow."""
    plan = load_plan(params, scale)
    from transgan import tracking
    from transgan.report import cells_frame as stage

    stage.write(plan)
    _remember(plan, "cells", "all")
    tracking.record_short_runs(plan)


def figure(name: FigureName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Draw a figure as PNG and PDF."""
    plan = load_plan(params, scale)
    from transgan.report import figures as stage

    stage.make(plan, name)
    _remember(plan, "figure", name)


def _remember(plan: "Plan", verb: "StageName", name: str) -> None:
    from transgan.pipeline.freshness import remember
    from transgan.pipeline.stages import stage

    remember(plan, stage(plan, verb, name))


VERBS = (resolve, fetch, prepare, classifier, reference, train, score, table, cells, figure)
