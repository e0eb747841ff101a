"""Cells: the paper's number and ours, joined, with everything that says how ours came to be. What every table is made of.

Ours comes from the declared score files alone; a run that was not made, or made under another configuration, leaves a cell that says so.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transgan.config.plan import Plan, Run
from transgan.cost import counts
from transgan.metrics.score_file import read_scores
from transgan.report.paper_numbers import Reported, reported
from transgan.report.verdict import Verdict, judge
from transgan.schema import TableConfig
from transgan.schema.report import Column, Row


@dataclass(frozen=True)
class Measured:
    """Our number of a cell. `mean` is over training seeds of the means over evaluation seeds; a spread over one seed is None."""

    mean: float
    std_training: float | None
    std_evaluation: float | None
    split_std: float | None
    training_seeds: int
    evaluation_seeds: int
    images: int
    share: float
    fingerprints: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def std(self) -> float | None:
        """The spread that a verdict goes by: over training seeds where there are two or more, else over evaluation seeds."""
        return self.std_evaluation if self.std_training is None else self.std_training


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    `missing` says why there is no number of ours where there should be one; `skipped_at`: the scale that makes none of its runs;
    `would_cost`: EFLOP of training those runs (transgan.cost.counts), None where there is a number or nobody counted.
    """

    table: str
    row: str
    dataset: str
    metric: str
    runs: tuple[str, ...]
    protocol: str
    paper: Reported | None
    ours: Measured | None
    missing: str
    skipped_at: str
    would_cost: float | None
    verdict: Verdict

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's; None where one is missing or the two may not be compared."""
        if (
            self.ours is None
            or self.paper is None
            or self.paper.value is None
            or self.verdict is Verdict.NOT_COMPARABLE
        ):
            return None
        return self.ours.mean - self.paper.value

    @property
    def label(self) -> str:
        """What was really measured: FID is only what Inception's 2048 features give; anything else carries its name."""
        return metric_label(self.metric, self.ours.settings) if self.ours else self.metric.upper()


def metric_label(metric: str, settings: Mapping[str, Any]) -> str:
    """`FID`, `IS`, `FID-768` (another layer of Inception), `FID-digits` (the demo's classifier)."""
    extractor, layer = settings.get("extractor"), str(settings.get("feature_layer"))
    if extractor != "inception-v3-compat":
        return f"{metric.upper()}-{extractor}"
    return metric.upper() if metric == "is" or layer == "2048" else f"{metric.upper()}-{layer}"


def cells(plan: Plan, name: str) -> list[Cell]:
    """Every cell of a table, row by row, in the order of params.yaml; cells that neither the paper nor we fill are left out."""
    table = plan.table(name)
    made = [
        _cell(plan, name, table, row, column, metric)
        for row in table.rows
        for column in table.columns
        for metric in column.metrics
    ]
    return [cell for cell in made if cell.paper is not None or cell.runs]


def _cell(plan: Plan, name: str, table: TableConfig, row: Row, column: Column, metric: str) -> Cell:
    runs = tuple(plan.run(run) for run in row.runs.get(column.dataset, ()))
    paper = reported().get((name, row.name, column.dataset, metric))
    ours, missing, unmade = _ours(plan, runs, metric)
    return Cell(
        table=name,
        row=row.name,
        dataset=column.dataset,
        metric=metric,
        runs=tuple(run.name for run in runs),
        protocol=", ".join(dict.fromkeys(run.protocol_name for run in runs)),
        paper=paper,
        ours=ours,
        missing=missing,
        would_cost=None if ours else _would_cost(plan, unmade),
        skipped_at=plan.scale_name if runs and not any(run.name in plan.made for run in runs) else "",
        verdict=_verdict(plan, row, column.dataset, metric, paper, ours, quoted=not runs),
    )


def _would_cost(plan: Plan, unmade: Sequence[str]) -> float | None:
    costs = [counts.eflop(plan, run) for run in unmade]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if unmade and len(known) == len(costs) else None


def _verdict(
    plan: Plan, row: Row, dataset: str, metric: str, paper: Reported | None, ours: Measured | None, quoted: bool
) -> Verdict:
    if quoted:
        return Verdict.QUOTED
    if ours is None:
        return Verdict.NOT_RUN
    spread = {str(key): value for key, value in row.spread.get(dataset, {}).items()}.get(metric)
    value, paper_std = (paper.value, paper.std) if paper else (None, None)
    verdict = judge(
        metric,
        ours.mean,
        value,
        paper_std=paper_std,
        std=ours.std,
        spread=spread,
        share=ours.share,
        comparable=plan.scale.comparable,
    )
    return (
        Verdict.OUT_OF_MEMORY if verdict is Verdict.NO_NUMBER and paper is not None and paper.out_of_memory else verdict
    )


def _ours(plan: Plan, runs: Sequence[Run], metric: str) -> tuple[Measured | None, str, list[str]]:
    """Our number over the runs that are there, what is missing, and the runs to be made. One of several missing: the number is of the others."""
    entries, missing, unmade = [], [], []
    for run in runs:
        if run.name not in plan.made:
            missing.append(f"{run.name} is skipped at scale {plan.scale_name}")
            unmade.append(run.name)
            continue
        scores = read_scores(plan, run.name)
        if scores is None:
            missing.append(f"{run.name} has no scores at scale {plan.scale_name}")
            unmade.append(run.name)
        elif scores["fingerprint"] != plan.fingerprint("score", run.name):
            missing.append(f"{run.name} was scored under another configuration")
            unmade.append(run.name)
        elif metric not in scores["protocols"].get(run.protocol_name, {}):
            missing.append(f"{run.protocol_name} does not measure {metric.upper()}")
        else:
            entries.append((run, scores))
    return (_measured(entries, metric) if entries else None), "; ".join(missing), unmade


def _measured(entries: Sequence[tuple[Run, Mapping[str, Any]]], metric: str) -> Measured:
    found = [scores["protocols"][run.protocol_name][metric] for run, scores in entries]
    means = [statistics.fmean(entry["values"]) for entry in found]
    variances = [statistics.variance(entry["values"]) for entry in found if len(entry["values"]) > 1]
    splits = [value for entry in found for value in entry.get("split_std", [])]
    first, scores = entries[0]
    return Measured(
        mean=statistics.fmean(means),
        std_training=statistics.stdev(means) if len(means) > 1 else None,
        std_evaluation=statistics.fmean(variances) ** 0.5 if variances else None,
        split_std=statistics.fmean(splits) if splits else None,
        training_seeds=len(means),
        evaluation_seeds=min(len(entry["values"]) for entry in found),
        images=min(scores["images"] for _, scores in entries),
        share=min(scores["images"] / run.full_images for run, scores in entries),
        fingerprints=tuple(scores["fingerprint"] for _, scores in entries),
        settings=scores.get("settings", {}).get(first.protocol_name, first.protocol.plain()),
    )
