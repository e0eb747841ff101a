"""The stage `table`: a table of the paper with this project's numbers in it.

It is written as csv (the tidy frame of its cells), and as Markdown and LaTeX in the paper's layout (a pivot of it).
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from transgan.config.plan import Plan
from transgan.cost import budget
from transgan.errors import UserError
from transgan.report import cost_table, published
from transgan.report.cells import Cell, cells
from transgan.report.cells_frame import CELL, csv_text, to_frame
from transgan.report.layout import BLANK, Footnotes, Layout, Text, latex, markdown
from transgan.report.verdict import Verdict
from transgan.schema import TableConfig
from transgan.utils import files

PAPER, OURS = "paper", "ours"
# The device in whose hours a cost is given.
REFERENCE_DEVICE = "A100"
ROOT = "../../../"  # from results/<scale>/tables/
VERDICTS = (
    "Verdicts: within 3% of the paper's FID, or within the paper's ± of IS (without one: 0.10), or within two standard "
    f"deviations over seeds; reproduced: by two training seeds ([docs/tables.md]({ROOT}docs/tables.md#verdicts))."
)
ON_CURVE = (
    "A partial run is held against the authors' learning curve at the same number of real images; the number in the "
    "verdict is the difference of FID. The authors' points come from their evaluation during training, whose protocol "
    f"differs ([docs/tables.md]({ROOT}docs/tables.md#the-authors-learning-curve))."
)
SEEDS = (
    "n: number of training seeds. In brackets: 95% interval of the mean over training seeds, by Student's t; one seed "
    f"has none ([docs/tables.md]({ROOT}docs/tables.md#what-a-cell-is))."
)
SPLITS = "±: standard deviation of the IS over its splits, as in the paper. It is of measuring, not of training."
STD_NOT_VERIFIED = "the number is verified; its ± is recalled from the paper and could not be checked"


def make(plan: Plan, table: str) -> None:
    """Write tables/<table>.csv, .md and .tex from the scores of the runs that feed it.

    A run without scores leaves cells that say so. Raises UserError for an unknown table or damaged scores.
    """
    base = plan.paths.table(table)
    if plan.table(table).kind == "cost":
        frame, layout = cost_table.frame(plan, table), cost_table.lay_out(plan, table)
    else:
        every_cell = cells(plan, table)
        frame, layout = to_frame(every_cell), lay_out(plan, table, every_cell)
    files.write_text(base.with_suffix(".csv"), csv_text(frame))
    files.write_text(base.with_suffix(".md"), markdown(layout))
    files.write_text(base.with_suffix(".tex"), latex(layout))


def lay_out(plan: Plan, name: str, every_cell: Sequence[Cell]) -> Layout:
    """A table of scores in the paper's layout. Raises UserError for a table without cells."""
    config = plan.table(name)
    if not every_cell:
        raise UserError(f"{plan.file}: tables.{name}: no cell has runs or a number of the paper; name runs in its rows")
    per_cell = _per_cell(to_frame(every_cell))
    footnotes = Footnotes()
    return Layout(
        name=name,
        title=config.title,
        source=config.source,
        warning=warning(plan),
        main=_main(config, per_cell, footnotes, plan.scale.comparable),
        details=_details(per_cell[per_cell["run"] != ""], plan.scale.comparable),
        notes=(
            *([config.note] if config.note else []),
            *_notes(plan, every_cell),
            *published.notes(plan, name, every_cell),
            *_cost_note(plan, per_cell),
        ),
        footnotes=footnotes.listed(),
    )


def warning(plan: Plan) -> str:
    """The warning of a scale whose numbers cannot be compared with the paper's; empty where they can."""
    return (
        ""
        if plan.scale.comparable
        else f"Not comparable with the paper, whose numbers are in docs/paper.md: at scale {plan.scale_name}, "
        f"{plan.scale.description}."
    )


def group_title(column: str, metric: str) -> str:
    """The heading over the paper's and this project's number: `CIFAR-10 FID`."""
    return f"{column} {metric.upper()}"


def share(value: float) -> str:
    """A share of the schedule: `100%`, `2.3%`, `0.075%`; `–` where there is none."""
    if pd.isna(value):
        return BLANK.text
    return "100%" if value >= 1 else f"{100 * value:.2g}%"


def _per_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """A line per cell, in the frame's order: what its training seeds have in common, and a summary of the rest."""
    summed_up: dict[Hashable, Any] = {
        "split_std": "mean",
        "evaluation_seeds": "min",
        "share": "min",
        "published_fid": "mean",
        "skipped": "all",
        "would_cost_eflop": lambda costs: costs.sum(skipna=False),
        "note": lambda notes: "; ".join(notes.dropna()),
        "run": lambda runs: ", ".join(runs.dropna()),
        "fingerprint": lambda fingerprints: ", ".join(fingerprints.dropna()),
        "protocol": lambda protocols: ", ".join(protocols.dropna().unique()),
    }
    common: dict[Hashable, Any] = {column: "first" for column in frame if column not in (*CELL, *summed_up)}
    return frame.groupby(CELL, sort=False, as_index=False).agg({**common, **summed_up})


def _main(config: TableConfig, per_cell: pd.DataFrame, footnotes: Footnotes, comparable: bool) -> pd.DataFrame:
    """Rows as the paper has them; under each dataset and metric the paper's number and this project's, as Text.

    At a scale that does not compare, neither the paper's numbers nor the rows that only quote them are shown.
    """
    if not comparable:
        per_cell = per_cell[per_cell["run"] != ""]
    groups = [group_title(column.title, metric) for column in config.columns for metric in column.metrics]
    names = [group_title(*place) for place in zip(per_cell["column"], per_cell["metric"], strict=True)]
    per_cell = per_cell.assign(group=names)
    labels = {group: _common_label(measured) for group, measured in per_cell.groupby("group")["measured"]}
    columns = []
    for group, inside in per_cell.groupby("group"):
        if comparable and inside["paper_text"].notna().any():
            columns.append((group, PAPER))
        if (inside["run"] != "").any():
            columns.append((group, _ours_title(labels[group])))
    columns.sort(key=lambda column: groups.index(str(column[0])))
    lines: list[Any] = list(per_cell.itertuples())
    papers: list[Any] = [_paper(line, footnotes) if comparable else BLANK for line in lines]
    ours: list[Any] = [_ours(line, labels[line.group], comparable) for line in lines]
    sides = [_ours_title(labels[line.group]) for line in lines]
    both = pd.concat([per_cell.assign(side=PAPER, text=papers), per_cell.assign(side=sides, text=ours)])
    grid = both.pivot(index="row", columns=["group", "side"], values="text")
    rows = [row.name for row in config.rows if row.name in set(per_cell["row"])]
    grid = grid.reindex(index=rows, columns=pd.MultiIndex.from_tuples(columns))
    return grid.map(lambda cell: cell if isinstance(cell, Text) else BLANK).rename_axis(index="Method")


def _common_label(measured: pd.Series) -> str:
    """What every number of a group measures, where it is one thing and neither FID nor IS; else empty."""
    labels = set(measured.dropna())
    return labels.pop() if len(labels) == 1 and not labels <= {"FID", "IS"} else ""


def _ours_title(label: str) -> str:
    return f"{OURS} ({label})" if label else OURS


def _paper(cell: Any, footnotes: Footnotes) -> Text:
    """The paper's number as printed; a dagger where it was not verified, a letter where only its ± was not."""
    if pd.isna(cell.paper_text):
        return BLANK
    text = cell.paper_text if pd.isna(cell.paper) else f"{cell.paper:.2f}"
    marks = [] if pd.isna(cell.paper_note) else [footnotes.mark(cell.paper_note)]
    if not pd.isna(cell.paper_std):
        text += f" ± {cell.paper_std:.2f}"
    if not cell.paper_verified:
        marks.insert(0, footnotes.dagger())
    elif not pd.isna(cell.paper_std) and not cell.paper_std_verified:
        marks.insert(0, footnotes.mark(STD_NOT_VERIFIED))
    return Text(text, tuple(marks))


def _ours(cell: Any, group_label: str, show_verdict: bool) -> Text:
    """Mean, interval over training seeds or `n = 1`, and verdict; or that the row is only quoted.

    The ± of an IS is over 10 splits, as in the paper.
    """
    if cell.verdict == Verdict.QUOTED.value:
        return Text(Verdict.QUOTED.value)
    if pd.isna(cell.mean):
        return Text(_not_run(cell))
    splits = f" ± {cell.split_std:.2f}" if cell.metric == "is" and not pd.isna(cell.split_std) else ""
    interval = "" if pd.isna(cell.mean_low) else f" {bracket(cell.mean_low, cell.mean_high)}"
    label = "" if cell.measured in (group_label, cell.metric.upper()) else f"{cell.measured} "
    text = f"{label}{cell.mean:.2f}{splits}{interval}, n = {int(cell.training_seeds)}"
    if not show_verdict or cell.verdict == Verdict.NO_NUMBER.value:
        return Text(text)
    distance = "" if pd.isna(cell.curve_difference) else f": {signed(cell.curve_difference)}"
    return Text(f"{text} ({cell.verdict}{distance})")


def _not_run(cell: Any) -> str:
    """`not run at demo; 46.2 EFLOP`: where it was not run, and what it would cost."""
    where = f"{Verdict.NOT_RUN.value} at {cell.scale}" if cell.skipped else Verdict.NOT_RUN.value
    return where if pd.isna(cell.would_cost_eflop) else f"{where}; {cell.would_cost_eflop:.3g} EFLOP"


def _details(per_cell: pd.DataFrame, comparable: bool) -> pd.DataFrame | None:
    """A line per cell with runs: difference, spreads, share of the schedule, verdict, protocol, runs, fingerprints."""
    if per_cell.empty:
        return None
    measured = per_cell["measured"].fillna(per_cell["metric"].str.upper())
    verdict = per_cell["verdict"].where(per_cell["note"] == "", per_cell["verdict"] + ": " + per_cell["note"])
    against_published = (
        {"FID, published statistics": per_cell["published_fid"].map("{:.2f}".format)}
        if per_cell["published_fid"].notna().any()
        else {}
    )
    on_curve = per_cell[["curve_difference", "curve_fid", "curve_allowed"]].apply(_on_curve, axis=1)
    details = pd.DataFrame(
        {
            "Row": per_cell["row"],
            "measured": per_cell["column"] + " " + measured,
            "ours": per_cell["mean"].map("{:.2f}".format),
            **against_published,
            "ours − paper": per_cell["difference"].map(signed),
            **({"ours − authors' curve": on_curve} if per_cell["curve_fid"].notna().any() else {}),
            "std, training seeds": per_cell[["std_training", "training_seeds"]].apply(_spread, axis=1),
            "std, evaluation seeds": per_cell[["std_evaluation", "evaluation_seeds"]].apply(_spread, axis=1),
            "schedule": per_cell["share"].map(share),
            "verdict": verdict,
            "protocol": per_cell["protocol"],
            "run": per_cell["run"],
            "fingerprint": per_cell["fingerprint"],
        }
    ).replace({"": BLANK.text, "nan": BLANK.text})
    return details if comparable else details.drop(columns="ours − paper")


def _notes(plan: Plan, every_cell: Sequence[Cell]) -> list[str]:
    """Where verdicts are explained, and how the numbers were measured.

    The latter is a line per protocol and reference, and a line per label other than FID or IS.
    """
    lines = [VERDICTS] if plan.scale.comparable else []
    lines += [SEEDS] if any(cell.result for cell in every_cell) else []
    lines += [SPLITS] if any(cell.result and cell.result.split_std is not None for cell in every_cell) else []
    lines += [ON_CURVE] if any(cell.curve for cell in every_cell) else []
    lines += _protocols(every_cell)
    labels = sorted({cell.label for cell in every_cell if cell.result and cell.label != cell.metric.upper()})
    for label in labels:
        settings = next(cell.result.settings for cell in every_cell if cell.result and cell.label == label)
        extractor = (
            "the demo's digit classifier"
            if settings["extractor"] == "digits"
            else f"Inception's layer {settings['feature_layer']}"
        )
        lines.append(f"{label} is measured with {extractor}; it is not the paper's {label.split('-')[0]}.")
    return lines


def _protocols(every_cell: Sequence[Cell]) -> list[str]:
    """A line per protocol; a line per reference, with its columns, where the protocol's references differ in size."""
    columns_of: dict[str, dict[str, dict[str, None]]] = {}
    for cell in every_cell:
        if cell.result:
            columns_of.setdefault(cell.protocol, {}).setdefault(_protocol(cell.result.settings), {})[cell.column] = None
    lines = []
    for protocol, texts in columns_of.items():
        for text, columns in texts.items():
            where = f" ({', '.join(columns)})" if len(texts) > 1 else ""
            lines.append(f"`{protocol}`{where}: {text}")
    return lines


def _protocol(settings: Mapping[str, Any]) -> str:
    reference = f"{settings['reference_count']:,} images of " if "reference_count" in settings else ""
    seeds = len(settings["seeds"])
    rounding = "truncated" if settings["quantize"] == "truncate" else "rounded"
    return (
        f"{settings['samples']:,} samples, {rounding} to uint8, "
        f"against {reference}{' + '.join(settings['splits'])}; extractor {settings['extractor']}, layer "
        f"{settings['feature_layer']}; {seeds} evaluation seed{'s' if seeds != 1 else ''}; "
        f"IS over {settings['is_splits']} splits"
    )


def _cost_note(plan: Plan, per_cell: pd.DataFrame) -> list[str]:
    """The cost of untrained runs in hours, by a convention, so that every machine prints the same table."""
    if not (per_cell["mean"].isna() & per_cell["would_cost_eflop"].notna()).any():
        return []
    what = "training at this scale" if plan.scale.comparable else "the full schedule with the paper's networks"
    rate = budget.assumed_rate(REFERENCE_DEVICE)
    hours = budget.EXA / rate.flops["float32"] / budget.SECONDS_PER_HOUR
    share_of_peak = f"{budget.ASSUMED_SHARE['float32']:.0%}"
    return [
        f"not run: beside it stands what {what} would cost, in EFLOP (1e18 operations, counted). One EFLOP is about "
        f"{hours:.0f} hours of an {REFERENCE_DEVICE} in float32, at {share_of_peak} of its peak. `transgan plan` lists "
        "hours and disk for your device, run by run."
    ]


def bracket(low: float, high: float) -> str:
    """An interval: `[−1.20, 0.54]`."""
    return f"[{low:.2f}, {high:.2f}]".replace("-", "−")


def signed(value: float) -> str:
    """`+0.54`, `−1.20`, `0.00`; never `−0.00`; `–` where there is none."""
    if pd.isna(value):
        return BLANK.text
    text = f"{value:+.2f}".replace("-", "−")
    return text if text.strip("+−0.") else "0.00"


def _on_curve(values: pd.Series) -> str:
    """`+0.30 of 31.10, allowed ±1.03`: the distance to the authors' FID at the same number of images."""
    difference, theirs, allowed = values
    return BLANK.text if pd.isna(theirs) else f"{signed(difference)} of {theirs:.2f}, allowed ±{allowed:.2f}"


def _spread(std_and_seeds: pd.Series) -> str:
    """`0.10 (n = 3)`; `n = 1` where a single seed has no spread."""
    std, seeds = std_and_seeds
    if pd.isna(seeds):
        return BLANK.text
    return f"n = {int(seeds)}" if pd.isna(std) else f"{std:.2f} (n = {int(seeds)})"
