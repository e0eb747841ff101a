"""Bars: FID of a table's rows, ours beside the paper's where the scale compares; one panel per dataset."""

from collections import Counter

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.report.cells import Cell, cells
from transgan.report.plots.style import COLOURS, GREY, canvas
from transgan.schema import FigureConfig

METRIC = "fid"


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """Only cells whose runs the figure names are drawn, and no panel for one alone; the paper's numbers are open circles."""
    assert config.table is not None
    known = set(config.runs)
    found = [
        cell
        for cell in cells(plan, config.table)
        if cell.metric == METRIC and cell.run_names and known.issuperset(cell.run_names)
    ]
    titles = {column.dataset: column.title for column in plan.table(config.table).columns}
    rows = Counter(cell.dataset for cell in found)
    datasets = [dataset for dataset, count in rows.items() if count > 1]
    most = max(rows.values(), default=1)
    figure = canvas(plan, config.title, 1.2 + 0.34 * most, note=plan.table(config.table).note)
    for axes, dataset in zip(figure.subplots(1, max(len(datasets), 1), squeeze=False)[0], datasets, strict=False):
        _draw(axes, [cell for cell in found if cell.dataset == dataset], plan.scale.comparable)
        axes.set_title(titles[dataset])
    return figure


def _draw(axes: Axes, found: list[Cell], compare: bool) -> None:
    positions = range(len(found))
    means = [cell.result.mean if cell.result else 0.0 for cell in found]
    spreads = [(cell.result.std or 0.0) if cell.result else 0.0 for cell in found]
    axes.barh(positions, means, xerr=spreads, color=COLOURS[0], ecolor=COLOURS[-1], height=0.6, label="ours")
    for position, mean, cell in zip(positions, means, found, strict=True):
        axes.text(mean, position, f"  {mean:.2f}" if cell.result else "  not run", va="center", fontsize=8)
    if compare:
        quoted = [
            (position, cell.paper.value)
            for position, cell in zip(positions, found, strict=True)
            if cell.paper and cell.paper.value is not None
        ]
        axes.plot(
            [value for _, value in quoted],
            [position for position, _ in quoted],
            color=GREY,
            marker="o",
            fillstyle="none",
            linestyle="none",
            label="paper",
        )
        axes.legend(loc="lower right")
    axes.set_yticks(positions, [cell.row for cell in found])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.18)
    axes.set_xlabel(f"{', '.join(dict.fromkeys(cell.label for cell in found))} (lower is better)")
