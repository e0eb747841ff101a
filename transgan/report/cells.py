"""The cells of the paper's tables: the paper's number, this project's, and all that explains how it came about.

This project's numbers come from the declared score files only. A run without a score, or with a score of another
configuration, leaves a cell that says so.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

from transgan.config.plan import Plan, Run
from transgan.cost import counts
from transgan.metrics.authors_curve import Position, is_comparable, position
from transgan.metrics.score_file import read_scores
from transgan.report.paper_numbers import PaperNumber, paper_numbers
from transgan.report.published import PublishedScore, published_scores
from transgan.report.verdict import Verdict, judge
from transgan.schema import TableConfig
from transgan.schema.report import Column, Row

CONFIDENCE = 0.95


@dataclass(frozen=True)
class RunScore:
    """One metric of one run: a value per evaluation seed; for IS also the standard deviation over its splits.

    `published`: FID of the same samples against statistics that others published, where these have been imported.
    """

    values: tuple[float, ...]
    split_stds: tuple[float, ...]
    images: int
    share: float
    fingerprint: str
    settings: Mapping[str, Any]
    published: tuple[PublishedScore, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over the evaluation seeds."""
        return statistics.fmean(self.values)

    @property
    def variance(self) -> float | None:
        """Variance over the evaluation seeds; None for a single one."""
        return statistics.variance(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class RunResult:
    """What one run gives a cell: its score, or why there is none (`missing`).

    `scored`: it has scores of the plan's configuration, whether or not they include the cell's metric. `skipped`: the
    scale leaves it out. `would_cost`: EFLOP of training it (transgan.cost.counts), None if it is scored or uncounted.
    """

    run: Run
    score: RunScore | None = None
    missing: str = ""
    scored: bool = False
    skipped: bool = False
    would_cost: float | None = None


@dataclass(frozen=True)
class CellResult:
    """This project's number in a cell, over the runs (training seeds) that have a score."""

    scores: tuple[RunScore, ...]

    @property
    def mean(self) -> float:
        """Mean over training seeds of the means over evaluation seeds."""
        return statistics.fmean(score.mean for score in self.scores)

    @property
    def std_training(self) -> float | None:
        """Standard deviation over training seeds; None for a single one."""
        return statistics.stdev(score.mean for score in self.scores) if len(self.scores) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the mean over training seeds, by Student's t; None for a single one."""
        if self.std_training is None:
            return None
        count = len(self.scores)
        half = stdtrit(count - 1, 1 - (1 - CONFIDENCE) / 2) * self.std_training / count**0.5
        return self.mean - half, self.mean + half

    @property
    def std_evaluation(self) -> float | None:
        """Standard deviation over evaluation seeds, pooled over the runs; None where each run has a single one."""
        variances = [score.variance for score in self.scores if score.variance is not None]
        return statistics.fmean(variances) ** 0.5 if variances else None

    @property
    def std(self) -> float | None:
        """The spread for verdicts: over training seeds if there are two or more, else over evaluation seeds."""
        return self.std_evaluation if self.std_training is None else self.std_training

    @property
    def split_std(self) -> float | None:
        """Mean standard deviation of the IS over its splits; None for other metrics."""
        splits = [value for score in self.scores for value in score.split_stds]
        return statistics.fmean(splits) if splits else None

    @property
    def training_seeds(self) -> int:
        """Number of runs."""
        return len(self.scores)

    @property
    def evaluation_seeds(self) -> int:
        """Number of evaluation seeds per run, the smallest."""
        return min(len(score.values) for score in self.scores)

    @property
    def share(self) -> float:
        """Share of the full schedule that was trained, the smallest."""
        return min(score.share for score in self.scores)

    @property
    def images(self) -> int | None:
        """Real images shown in training; None where the runs differ in it."""
        counts = {score.images for score in self.scores}
        return counts.pop() if len(counts) == 1 else None

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Fingerprints of the score stages, run by run."""
        return tuple(score.fingerprint for score in self.scores)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the protocol, as the first run's scores record them."""
        return self.scores[0].settings


@dataclass(frozen=True)
class Cell:
    """One cell of a table: the paper's number and what its runs scored. Without runs it is only quoted."""

    scale: str
    table: str
    row: str
    column: str
    dataset: str
    metric: str
    paper: PaperNumber | None
    runs: tuple[RunResult, ...]
    verdict: Verdict
    curve: Position | None = None  # where a partial run stands on the authors' learning curve

    @property
    def result(self) -> CellResult | None:
        """This project's number; None where no run has one."""
        return _result(self.runs)

    @property
    def run_names(self) -> tuple[str, ...]:
        """The runs that stand for the cell."""
        return tuple(result.run.name for result in self.runs)

    @property
    def protocol(self) -> str:
        """The protocols that the runs are scored under."""
        return ", ".join(dict.fromkeys(result.run.protocol_name for result in self.runs))

    @property
    def missing(self) -> str:
        """Which runs have no number, and why."""
        return "; ".join(run.missing for run in self.runs if run.missing)

    @property
    def skipped(self) -> bool:
        """Whether the scale leaves out every run of the cell."""
        return bool(self.runs) and all(run.skipped for run in self.runs)

    @property
    def would_cost(self) -> float | None:
        """EFLOP of training the runs without a score; None where there is a number, or the cost of one is unknown."""
        costs = [run.would_cost for run in self.runs if not run.scored]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if costs and len(known) == len(costs) and self.result is None else None

    @property
    def difference(self) -> float | None:
        """This project's number minus the paper's; None where one is missing or the two may not be compared."""
        result = self.result
        if result is None or self.paper is None or self.paper.value is None or self.verdict is Verdict.NOT_COMPARABLE:
            return None
        return result.mean - self.paper.value

    @property
    def label(self) -> str:
        """What was measured: `FID` is only what Inception's 2048 features give; anything else carries its own name."""
        return metric_label(self.metric, self.result.settings) if self.result else self.metric.upper()


def metric_label(metric: str, settings: Mapping[str, Any]) -> str:
    """`FID`, `IS`, `FID-768` (another layer of Inception), `FID-digits` (the demo's classifier)."""
    extractor, layer = settings.get("extractor"), str(settings.get("feature_layer"))
    if extractor != "inception-v3-compat":
        return f"{metric.upper()}-{extractor}"
    return metric.upper() if metric == "is" or layer == "2048" else f"{metric.upper()}-{layer}"


def cells(plan: Plan, table: str) -> list[Cell]:
    """Every cell of a table, row by row as in params.yaml; cells without a paper's number and runs are left out."""
    config = plan.table(table)
    every = [
        _cell(plan, table, config, row, column, metric)
        for row in config.rows
        for column in config.columns
        for metric in column.metrics
    ]
    return [cell for cell in every if cell.paper is not None or cell.runs]


def _cell(plan: Plan, name: str, table: TableConfig, row: Row, column: Column, metric: str) -> Cell:
    runs = tuple(_run_result(plan, plan.run(run), metric) for run in _seeds(plan, row, column.dataset))
    paper = paper_numbers().get((name, row.name, column.dataset, metric))
    curve = _curve(plan, row, column.dataset, metric, runs)
    return Cell(
        scale=plan.scale_name,
        table=name,
        row=row.name,
        column=column.title,
        dataset=column.dataset,
        metric=metric,
        paper=paper,
        runs=runs,
        verdict=_verdict(plan, metric, paper, runs, curve),
        curve=curve,
    )


def _seeds(plan: Plan, row: Row, dataset: str) -> tuple[str, ...]:
    """The training seeds of a cell: those that the scale schedules, or all of them if it skips all."""
    every = row.runs.get(dataset, ())
    return tuple(name for name in every if name in plan.scheduled_runs) or every


def _run_result(plan: Plan, run: Run, metric: str) -> RunResult:
    skipped = run.name not in plan.scheduled_runs
    scores = None if skipped else read_scores(plan, run.name)
    if scores is not None and scores["fingerprint"] == plan.fingerprint("score", run.name):
        if metric in scores["protocols"].get(run.protocol_name, {}):
            return RunResult(run, score=_run_score(plan, run, scores, metric), scored=True)
        return RunResult(run, missing=f"{run.protocol_name} does not measure {metric.upper()}", scored=True)
    if skipped:
        missing = f"{run.name} is skipped at scale {plan.scale_name}"
    elif scores is None:
        missing = f"{run.name} has no scores at scale {plan.scale_name}"
    else:
        missing = f"{run.name} was scored under another configuration"
    return RunResult(run, missing=missing, skipped=skipped, would_cost=counts.eflop(plan, run.name))


def _run_score(plan: Plan, run: Run, scores: Mapping[str, Any], metric: str) -> RunScore:
    measured = scores["protocols"][run.protocol_name][metric]
    return RunScore(
        values=tuple(measured["values"]),
        split_stds=tuple(measured.get("split_std", ())),
        images=scores["images"],
        share=scores["images"] / run.full_images,
        fingerprint=scores["fingerprint"],
        settings=scores.get("settings", {}).get(run.protocol_name, run.protocol.plain()),
        published=published_scores(plan, run, scores) if metric == "fid" else (),
    )


def _result(runs: Sequence[RunResult]) -> CellResult | None:
    scores = tuple(run.score for run in runs if run.score is not None)
    return CellResult(scores) if scores else None


def _curve(plan: Plan, row: Row, dataset: str, metric: str, runs: Sequence[RunResult]) -> Position | None:
    """Where a partial cell stands on the authors' learning curve; None where it may not be held against it."""
    result = _result(runs)
    if metric != "fid" or dataset not in row.authors_curve or not plan.scale.comparable or result is None:
        return None
    comparable = all(is_comparable(score.settings, score.settings.get("samples", 0)) for score in result.scores)
    if result.share >= 1 or result.images is None or not comparable:
        return None
    return position(dataset, result.images, result.mean, result.std)


def _verdict(
    plan: Plan, metric: str, paper: PaperNumber | None, runs: Sequence[RunResult], curve: Position | None
) -> Verdict:
    if not runs:
        return Verdict.QUOTED
    result = _result(runs)
    if result is None:
        return Verdict.NOT_RUN
    verdict = judge(
        metric,
        result.mean,
        paper.value if paper else None,
        paper_std=paper.std if paper else None,
        std=result.std,
        training_seeds=result.training_seeds,
        curve=curve,
        share=result.share,
        comparable=plan.scale.comparable,
    )
    if verdict is Verdict.NO_NUMBER and paper is not None and paper.out_of_memory:
        return Verdict.OUT_OF_MEMORY
    return verdict
