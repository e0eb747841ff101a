"""FID against statistics that others published, beside FID against this project's: what tables print of it.

Everything is read from the score files. Where these lack it, tables say how to get the statistics.
"""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transgan.config.plan import Plan, Run
from transgan.schema import PublishedStatistics

if TYPE_CHECKING:
    from transgan.report.cells import Cell


@dataclass(frozen=True)
class PublishedScore:
    """FID of a run against published statistics, and FID between these and this project's reference.

    `file` is the name under which the statistics were published, `fid` the mean over evaluation seeds.
    """

    protocol: str
    file: str
    fid: float
    references_fid: float


def published_scores(plan: Plan, run: Run, scores: Mapping[str, Any]) -> tuple[PublishedScore, ...]:
    """The FIDs in a run's scores under the protocols whose published statistics it was measured against."""
    settings = scores.get("settings", {})
    return tuple(
        PublishedScore(
            protocol,
            file,
            statistics.fmean(scores["protocols"][protocol]["fid"]["values"]),
            settings[protocol]["references_fid"],
        )
        for protocol, file in plan.published_statistics(run).items()
        if protocol in scores["protocols"] and "references_fid" in settings.get(protocol, {})
    )


def notes(plan: Plan, table: str, every_cell: Iterable["Cell"]) -> list[str]:
    """A line per dataset of a table with FID between both references, and one on how to get missing statistics."""
    measured: dict[tuple[str, str], str] = {}
    for cell in every_cell:
        for run in cell.runs:
            for published in run.score.published if run.score else ():
                measured[cell.dataset, published.protocol] = (
                    f"{cell.column}: FID between this project's reference `{run.run.reference}` and the published "
                    f"statistics `{published.file}` (`{published.protocol}`) is {published.references_fid:z.3f}. "
                    "The Markdown and csv files of this table give FID against both."
                )
    lines = list(measured.values())
    titles = {column.dataset: column.title for column in plan.table(table).columns if "fid" in column.metrics}
    for name in plan.statistics_protocols(table):
        published_files = plan.protocol(name).statistics
        if published_files is not None:
            lines += _missing(
                plan, name, published_files, titles, {dataset for dataset, protocol in measured if protocol == name}
            )
    return lines


def _missing(
    plan: Plan, protocol: str, published: PublishedStatistics, titles: Mapping[str, str], measured: set[str]
) -> list[str]:
    files = [
        f"`{file}` ({titles[dataset]})"
        for dataset, file in published.files.items()
        if dataset in titles and dataset not in measured
    ]
    if not files:
        return []
    return [
        f"Not measured under `{protocol}`, against {', '.join(files)}: these statistics come from {published.source}. "
        f"`{plan.command('reference', '--import', 'FILE')}` imports one; scoring a run again then measures FID against "
        "both, and this line gives FID between both references."
    ]
