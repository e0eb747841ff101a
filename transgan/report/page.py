"""The report, results/<scale>/report.html: tables, figures, where every number came from, how to cite.

It needs no network. It is built from the declared outputs of the other stages and from the runs' provenance. It holds
times and machines, so building it again gives other bytes; nothing depends on it.
"""

import base64
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from transgan import __version__
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics.score_file import read_scores
from transgan.pipeline.freshness import check_recorded
from transgan.pipeline.run_files import read_provenance
from transgan.pipeline.stages import stage
from transgan.report import cost_table, factorial, paired, trace
from transgan.report.cells import Cell, cells
from transgan.report.layout import Layout
from transgan.report.tables import OURS, PAPER, group_title, lay_out, share, warning
from transgan.report.trace import Traced
from transgan.utils import files

logger = logging.getLogger(__name__)

PAPER_BIBTEX = """@inproceedings{jiang2021transgan,
  title     = {{TransGAN}: Two Pure Transformers Can Make One Strong {GAN}, and That Can Scale Up},
  author    = {Jiang, Yifan and Chang, Shiyu and Wang, Zhangyang},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021}
}"""


@dataclass(frozen=True)
class TableView:
    """A table as the page shows it.

    `anchors` has the id of the cell's trace, or an empty string, for each row and column of `layout.main`. `tally`
    counts the cells with a number and names the missing runs. `findings` question the numbers: the rows' differences,
    seed by seed, and the effects of a factorial design.
    """

    layout: Layout
    anchors: list[list[str]]
    traced: list[tuple[str, Traced]]
    tally: str = ""
    findings: tuple[Layout, ...] = ()


@dataclass(frozen=True)
class FigureView:
    """A figure as the page shows it: what it stands for, the command that draws it, and its image as a data URI.

    `image` is empty where it is missing.
    """

    name: str
    command: str
    title: str
    source: str
    image: str


def make(plan: Plan) -> None:
    """Write report.html, each table as a page in report/, provenance.json and cost_measured.csv of the scale.

    The tables are also stored in MLflow.
    """
    from transgan import tracking

    provenance = trace.write(plan)
    cost_table.write_measured(plan)
    files.write_text(plan.paths.results / "report.html", render(plan, provenance))
    for name in plan.params.tables:
        files.write_text(plan.paths.results / "report" / f"{name}.html", render_table(_table(plan, name)))
    tracking.record_tables(plan)
    logger.info(f"report: {plan.paths.results / 'report.html'}; the tables alone: {plan.paths.results / 'report'}/")


def render(plan: Plan, provenance: dict[str, Any]) -> str:
    """The page as HTML. `provenance` is the result of `trace.everything`."""
    runs = [_run(plan, name) for name in plan.runs]
    views = [_table(plan, name) for name in plan.params.tables]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            scale=plan.scale_name,
            description=plan.scale.description,
            warning=warning(plan),
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=__version__,
            doubts=_doubts(provenance),
            commits=provenance["commits"],
            runs=runs,
            counts=_counts(runs),
            tables=views,
            # The buttons that choose between both numbers need tables that have both.
            has_paper=any(PAPER in {title for _, title in view.layout.columns} for view in views),
            figures=[_figure(plan, name) for name in plan.params.figures],
            bibtex=PAPER_BIBTEX,
            ours=OURS,
        )
    )


def render_table(view: TableView) -> str:
    """One table as a page of its own, which `snakemake --report` shows."""
    return _environment().get_template("table_page.html.j2").render(table=view, ours=OURS)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: resources.files("transgan.report").joinpath(name).read_text(encoding="utf-8")
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["share"] = share
    return environment


def _doubts(provenance: dict[str, Any]) -> list[str]:
    """What a reader should know before trusting the numbers of the page."""
    doubts = []
    if provenance["dirty"]:
        doubts.append(f"Trained with sources that differed from their commit: {', '.join(provenance['dirty'])}.")
    if len(provenance["commits"]) > 1:
        doubts.append(f"The cells come from {len(provenance['commits'])} commits; each cell's trace names its own.")
    return doubts


def _counts(runs: Sequence[dict[str, Any]]) -> str:
    """`Of 37 runs, 23 scored, 14 not run at demo.`"""
    statuses = Counter(run["status"] for run in runs)
    return f"Of {len(runs)} runs, {', '.join(f'{count} {status}' for status, count in statuses.items())}."


def _run(plan: Plan, name: str) -> dict[str, Any]:
    """A line of the list of runs."""
    run = plan.run(name)
    scores, folder = read_scores(plan, name), plan.paths.run(name)
    current = scores is not None and scores["fingerprint"] == plan.fingerprint("score", name)
    provenance = read_provenance(plan, name)
    status = (
        "scored"
        if current
        else "of another configuration"
        if scores
        else "trained, not scored"
        if (folder / "run.json").exists()
        else "not run"
    )
    if status == "not run" and name not in plan.scheduled_runs:
        status = f"not run at {plan.scale_name}"
    return {
        "name": name,
        "dataset": run.dataset_name if plan.scale.comparable else f"{run.dataset_name} ({run.dataset.source})",
        "resolution": run.dataset.resolution,
        "images": run.recipe.images,
        "share": min(run.share, 1.0),
        "status": status,
        "seconds": (provenance.get("training") or {}).get("training_seconds"),
        "commit": str(provenance.get("commit") or "")[:10],
        "dirty": bool(provenance.get("dirty")),
    }


def _table(plan: Plan, name: str) -> TableView:
    config = plan.table(name)
    if config.kind == "cost":
        return TableView(cost_table.lay_out(plan, name), [], [])
    every = cells(plan, name)
    layout = lay_out(plan, name, every)
    traced = [(f"trace-{name}-{i}", each) for i, each in enumerate(trace.traced(plan, name))]
    places = {(each.cell.row, group_title(each.cell.column, each.cell.metric)): anchor for anchor, each in traced}
    anchors = [
        [places.get((row, group), "") if title.startswith(OURS) else "" for group, title in layout.columns]
        for row, _ in layout.rows
    ]
    return TableView(layout, anchors, traced, _tally(every), _findings(plan, name, every))


def _findings(plan: Plan, name: str, every: Sequence[Cell]) -> tuple[Layout, ...]:
    """What can be said so far of the numbers of a table; nothing where runs or seeds are missing."""
    differences = paired.differences(every, plan.table(name).comparisons)
    found = () if differences.empty else (paired.lay_out(plan, name, differences),)
    if not plan.table(name).factors:
        return found
    try:
        return *found, *factorial.lay_out(plan, name, factorial.analysis(plan, name, every))
    except UserError:
        return found


def _tally(every: Sequence[Cell]) -> str:
    """How many cells have a number of this project, and which runs are missing, with what they would cost."""
    ours = [cell for cell in every if cell.run_names]
    if not ours:
        return "No run feeds this table: every number is quoted."
    missing = {", ".join(cell.run_names): cell for cell in ours if cell.result is None}
    names = [
        name if cell.would_cost is None else f"{name} ({cell.would_cost:.3g} EFLOP)" for name, cell in missing.items()
    ]
    count = f"{sum(cell.result is not None for cell in ours)} of {len(ours)} cells are measured"
    return f"{count}; not run: {', '.join(names)}." if names else f"{count}."


def _figure(plan: Plan, name: str) -> FigureView:
    base = plan.paths.figure(name)
    path = base.with_name(f"{base.name}.png")
    config = plan.figure(name)
    check_recorded(plan, stage(plan, "figure", name))
    return FigureView(
        name, plan.command("figure", name), config.title, config.source, _data_uri(path) if path.exists() else ""
    )


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
