"""The stage `table`: the paper's table with our numbers in it, as csv (a line per cell), Markdown and LaTeX (the paper's layout)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan
from transgan.cost import budget
from transgan.report import cost_table
from transgan.report.cells import Cell, cells
from transgan.report.cells_frame import to_frame
from transgan.report.layout import Footnotes, Grid, Group, Layout, Text, latex, markdown
from transgan.report.paper_numbers import Reported
from transgan.report.verdict import Verdict
from transgan.schema import TableConfig
from transgan.utils import files

PAPER, OURS = "paper", "ours"
# On which a cost in operations is put in hours.
REFERENCE_DEVICE = "A100"


def make(plan: Plan, table: str) -> None:
    """Write tables/<table>.csv, .md and .tex from the scores of the runs that feed it.

    A run without scores leaves cells that say so. Raises UserError for an unknown table or damaged scores.
    """
    if plan.table(table).kind == "cost":
        cost_table.make(plan, table)
        return
    found = cells(plan, table)
    layout = lay_out(plan, table, found)
    base = plan.paths.table(table)
    files.write_text(_path(base, "csv"), to_frame(found).to_csv(index=False))
    files.write_text(_path(base, "md"), markdown(layout))
    files.write_text(_path(base, "tex"), latex(layout))


def lay_out(plan: Plan, name: str, found: Sequence[Cell]) -> Layout:
    """The table as text, in the paper's layout."""
    config = plan.table(name)
    footnotes = Footnotes()
    return Layout(
        name=name,
        title=config.title,
        source=config.source,
        warning=warning(plan),
        main=_main(config, found, footnotes, show_verdicts=plan.scale.comparable),
        details=_details(config, found),
        notes=(*([config.note] if config.note else []), *_notes(config, found), *_price_note(plan, found)),
        footnotes=footnotes.listed(),
    )


def warning(plan: Plan) -> str:
    """The sentence of a scale whose numbers must not be set beside the paper's; empty where they may."""
    return (
        ""
        if plan.scale.comparable
        else f"Not comparable with the paper: at scale {plan.scale_name}, {plan.scale.description}."
    )


def _path(base: Path, suffix: str) -> Path:
    return base.with_name(f"{base.name}.{suffix}")


def _main(config: TableConfig, found: Sequence[Cell], footnotes: Footnotes, show_verdicts: bool) -> Grid:
    by_place = {(cell.row, cell.dataset, cell.metric): cell for cell in found}
    groups, places = [], []
    for column in config.columns:
        for metric in column.metrics:
            inside = [cell for cell in found if (cell.dataset, cell.metric) == (column.dataset, metric)]
            sides = [PAPER] * any(cell.paper for cell in inside) + [OURS] * any(cell.run_names for cell in inside)
            labels = {cell.label for cell in inside if cell.result}
            other = next(iter(labels)) if len(labels) == 1 and labels != {metric.upper()} else ""
            groups.append(
                Group(
                    f"{column.title} {metric.upper()}",
                    tuple(f"{side} ({other})" if side == OURS and other else side for side in sides),
                )
            )
            places += [(column.dataset, metric, side, other) for side in sides]
    rows = []
    for row in config.rows:
        texts = []
        for dataset, metric, side, other in places:
            cell = by_place.get((row.name, dataset, metric))
            texts.append(
                Text("–")
                if cell is None
                else _paper(cell, footnotes)
                if side == PAPER
                else _our(cell, other, show_verdicts)
            )
        rows.append((row.name, tuple(texts)))
    return Grid("Method", tuple(groups), tuple(rows))


def _paper(cell: Cell, footnotes: Footnotes) -> Text:
    return Text("–") if cell.paper is None else _reported(cell.paper, footnotes)


def _reported(number: Reported, footnotes: Footnotes) -> Text:
    """The paper's number as printed there; the dagger stands for the number itself, or for its ± where only that was not verified."""
    text = f"{number.value:.2f}" if number.value is not None else number.text
    marks = [footnotes.mark(number.note)] if number.note else []
    if number.std is not None:
        text += f" ± {number.std:.2f}"
    if not number.verified:
        marks.insert(0, footnotes.dagger())
    elif number.std is not None and not number.std_verified:
        marks.insert(
            0, footnotes.mark("the number is verified, its ± is recalled from the paper and could not be checked")
        )
    return Text(text, tuple(marks))


def _our(cell: Cell, labelled: str, show_verdict: bool) -> Text:
    """Mean ± spread and verdict, or that the row is only quoted; beside the paper's IS ± (over 10 splits) stands the same spread of ours."""
    if cell.verdict is Verdict.QUOTED:
        return Text(Verdict.QUOTED.value)
    if cell.result is None:
        return Text(_not_run(cell))
    spread = cell.result.split_std if cell.metric == "is" else cell.result.std
    label = "" if cell.label in (labelled, cell.metric.upper()) else f"{cell.label} "
    text = f"{label}{cell.result.mean:.2f}" + (f" ± {spread:.2f}" if spread is not None else "")
    return Text(f"{text} ({cell.verdict.value})" if show_verdict and cell.verdict is not Verdict.NO_NUMBER else text)


def _not_run(cell: Cell) -> str:
    """`not run at demo; 46.2 EFLOP`: where it was not, and what it would cost."""
    where = f"{Verdict.NOT_RUN.value} at {cell.scale}" if cell.skipped else Verdict.NOT_RUN.value
    return where if cell.would_cost is None else f"{where}; {cell.would_cost:.3g} EFLOP"


def _details(config: TableConfig, found: Sequence[Cell]) -> Grid | None:
    """Per cell of ours: difference, spreads over seeds apart, share of the schedule, verdict, protocol, runs, fingerprints."""
    titles = {column.dataset: column.title for column in config.columns}
    columns = (
        "measured",
        "ours",
        "ours − paper",
        "std, training seeds",
        "std, evaluation seeds",
        "schedule",
        "verdict",
        "protocol",
        "run",
        "fingerprint",
    )
    rows = tuple((cell.row, _detail(cell, titles[cell.dataset])) for cell in found if cell.run_names)
    return Grid("Row", (Group("", columns),), rows) if rows else None


def _detail(cell: Cell, column: str) -> tuple[Text, ...]:
    ours = cell.result
    numbers = (
        (
            f"{ours.mean:.2f}",
            "–" if cell.difference is None else _signed(cell.difference),
            _spread(ours.std_training, ours.training_seeds),
            _spread(ours.std_evaluation, ours.evaluation_seeds),
            share(ours.share),
        )
        if ours
        else ("–",) * 5
    )
    verdict = f"{cell.verdict.value}: {cell.missing}" if cell.missing else cell.verdict.value
    fingerprints = ", ".join(ours.fingerprints) if ours else "–"
    texts = (f"{column} {cell.label}", *numbers, verdict, cell.protocol, ", ".join(cell.run_names), fingerprints)
    return tuple(Text(text) for text in texts)


def _notes(config: TableConfig, found: Sequence[Cell]) -> list[str]:
    """What was measured how: one line per protocol and reference, and what a label other than FID or IS means."""
    lines = _protocols(config, found)
    labels = sorted({cell.label for cell in found if cell.result and cell.label != cell.metric.upper()})
    for label in labels:
        layer = next(cell.result.settings for cell in found if cell.result and cell.label == label)
        what = (
            "the demo's digit classifier"
            if layer["extractor"] == "digits"
            else f"Inception's layer {layer['feature_layer']}"
        )
        lines.append(f"{label} is measured with {what}; it is not the paper's {label.split('-')[0]}.")
    return lines


def _protocols(config: TableConfig, found: Sequence[Cell]) -> list[str]:
    """A line per protocol; where it means another thing for other data (their number of pictures), one for each, with the columns it is of."""
    titles = {column.dataset: column.title for column in config.columns}
    said: dict[str, dict[str, dict[str, None]]] = {}
    for cell in found:
        if cell.result:
            said.setdefault(cell.protocol, {}).setdefault(_protocol(cell.result.settings), {})[titles[cell.dataset]] = (
                None
            )
    lines = []
    for protocol, texts in said.items():
        for text, columns in texts.items():
            where = f" ({', '.join(columns)})" if len(texts) > 1 else ""
            lines.append(f"`{protocol}`{where}: {text}")
    return lines


def _price_note(plan: Plan, found: Sequence[Cell]) -> list[str]:
    """What the cost of a run that was not made means in hours: by a convention, so that a table is the same on every machine."""
    if not any(cell.would_cost for cell in found):
        return []
    what = "training it at this scale" if plan.scale.comparable else "its full schedule, with the paper's networks,"
    rate = budget.named(REFERENCE_DEVICE)
    hours = budget.EXA / rate.flops["float32"] / budget.SECONDS_PER_HOUR
    share = f"{budget.ASSUMED_SHARE['float32']:.0%}"
    return [
        f"not run: {what} would cost so many EFLOP (1e18 operations, counted); one is about {hours:.0f} hours of an {REFERENCE_DEVICE} "
        f"in float32, were {share} of its peak reached. `transgan plan` has hours and disk on your device, run by run."
    ]


def _protocol(settings: Mapping[str, Any]) -> str:
    reference = f"{settings['reference_count']:,} pictures of " if "reference_count" in settings else ""
    seeds = len(settings["seeds"])
    return (
        f"{settings['samples']:,} samples, to uint8 by {'truncation' if settings['quantize'] == 'truncate' else 'rounding'}, against "
        f"{reference}{' + '.join(settings['splits'])}; {settings['extractor']}, layer {settings['feature_layer']}; "
        f"{seeds} evaluation seed{'s' if seeds != 1 else ''}; IS over {settings['is_splits']} splits"
    )


def share(value: float) -> str:
    """A share of the schedule: `100%`, `2.3%`, `0.075%`."""
    return "100%" if value >= 1 else f"{100 * value:.2g}%"


def _signed(value: float) -> str:
    """`+0.54`, `−1.20`, `0.00`; never `−0.00`."""
    text = f"{value:+.2f}".replace("-", "−")
    return text if text.strip("+−0.") else "0.00"


def _spread(std: float | None, seeds: int) -> str:
    return f"n = {seeds}" if std is None else f"{std:.2f} (n = {seeds})"
