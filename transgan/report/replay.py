"""The shortest chain of commands that computes one cell of a table again, and what it gives beside the printed number.

A chain works in a folder of its own: the commit's code, a copy of the params file, and of each result that is kept here
and comes before the stages that shall run again. What is not kept is computed, with all that it needs.
"""

import csv
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import transgan
from transgan.config.params_file import PARAMS_FILE
from transgan.config.paths import StageName
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.freshness import freshness
from transgan.pipeline.run_files import read_provenance
from transgan.pipeline.stages import Stage, stage, stages
from transgan.pipeline.workspace import is_finished
from transgan.report.cells import Cell, cells
from transgan.utils.git import git

# The stages behind a cell, in their order. `--again` names the first of them that always runs.
ORDER: tuple[StageName, ...] = ("fetch", "prepare", "classifier", "reference", "train", "score", "table")
# Where the same number is the same bytes: only the way through a csv file may round.
RELATIVE = 1e-9


@dataclass(frozen=True)
class Chain:
    """The commands that compute a cell in `folder`. `notes`: what a reader should know first."""

    cell: Cell
    folder: Path
    commands: tuple[tuple[str, ...], ...]
    table_file: Path
    notes: tuple[str, ...]

    def script(self) -> list[str]:
        """Lines for a shell: the notes as comments, then the commands."""
        return [*(f"# {note}" for note in self.notes), *map(shlex.join, self.commands)]


def find_cell(plan: Plan, table: str, row: str, column: str, metric: str | None) -> Cell:
    """The cell of a row and a column (its title or dataset); of two metrics, FID unless `metric` names one.

    Raises UserError, which names what there is, if there is no such cell or nothing was run for it.
    """
    every = cells(plan, table)
    in_row = [cell for cell in every if cell.row == row]
    if not in_row:
        rows = ", ".join(each.name for each in plan.table(table).rows)
        raise UserError(f"{plan.file}: tables.{table}: no row {row!r}; the rows are: {rows}")
    in_column = [cell for cell in in_row if column in (cell.column, cell.dataset)]
    if not in_column:
        columns = ", ".join(dict.fromkeys(cell.column for cell in in_row))
        raise UserError(f"{plan.file}: tables.{table}: no column {column!r} in row {row!r}; there are: {columns}")
    found = [cell for cell in in_column if cell.metric == (metric or "fid")] or in_column[: metric is None]
    if not found:
        metrics = ", ".join(cell.metric for cell in in_column)
        raise UserError(f"{plan.file}: tables.{table}: {row}, {column} has no metric {metric!r}; there are: {metrics}")
    cell = found[0]
    if not cell.run_names or cell.skipped:
        raise UserError(
            f"{table}: {row}, {cell.column}: {cell.missing or 'only quoted from the paper'}; nothing to replay"
        )
    return cell


def printed_numbers(plan: Plan, cell: Cell, file: Path | None = None) -> tuple[float, ...]:
    """The cell's number in a table's csv file, as it stands there: the column `mean`, and the mean of `ours`.

    Both are the same unless one was edited. `file` is the plan's table by default. Raises UserError if there is none.
    """
    file = file or plan.paths.table(cell.table).with_suffix(".csv")
    again = f"run `{plan.command('table', cell.table)}` first"
    try:
        lines = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise UserError(f"{file}: not there; {again}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read ({error}); {again}") from error
    wanted = {"row": cell.row, "column": cell.column, "metric": cell.metric}
    values = [line for line in lines if wanted.items() <= line.items() and line.get("ours") and line.get("mean")]
    if not values:
        raise UserError(f"{file}: {cell.row}, {cell.column}, {cell.metric.upper()}: has no number; {again}")
    try:
        return (fmean(float(line["ours"]) for line in values), *(float(line["mean"]) for line in values))
    except ValueError as error:
        raise UserError(f"{file}: {cell.row}, {cell.column}: damaged ({error}); {again}") from error


def same(one: float, other: float, tolerance: float = 0.0) -> bool:
    """Whether two numbers are equal but for the last bits, or differ by `tolerance` at most."""
    return abs(one - other) <= max(tolerance, RELATIVE * abs(other))


def chain(plan: Plan, cell: Cell, folder: Path, again: StageName = "score") -> Chain:
    """The chain of commands for a cell. `again` is the first stage, in ORDER, that is computed though it is kept."""
    code, notes = _code(plan, cell, folder)
    restored, computed = _split(plan, cell, again)
    params = PARAMS_FILE if plan.file == PARAMS_FILE else Path(plan.file.name)
    commands = [*code, ("cp", str(plan.file), str(folder / params))]
    commands += _restore(plan, restored, folder)
    options = ("--scale", plan.scale_name, *(() if params == PARAMS_FILE else ("--params", str(params))))
    program = (sys.executable, "-m", "transgan")
    steps = [(*program, each.verb, *each.arguments, *options) for each in computed]
    steps.append((*program, "table", cell.table, *options))
    commands += [("env", "-C", str(folder), *step) for step in steps]
    table = folder / plan.paths.table(cell.table).with_suffix(".csv")
    return Chain(cell, folder, tuple(commands), table, tuple(notes))


def execute(of: Chain) -> None:
    """Run the commands. Raises UserError at the first one that fails; the folder stays as it is."""
    if of.folder.exists() and any(of.folder.iterdir()):
        raise UserError(f"{of.folder}: not empty; remove it, or name another folder with --into")
    of.folder.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    for command in of.commands:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise UserError(
                f"`{shlex.join(command)}` ended with exit code {done.returncode}; its message is above, and what was "
                f"computed so far is in {of.folder}"
            )


def _split(plan: Plan, cell: Cell, again: StageName) -> tuple[list[Stage], list[Stage]]:
    """The stages whose kept results are copied, and those that are computed, each in the order of the graph."""
    graph = stages(plan)
    fresh = freshness(plan, graph)
    producer = {path: each.key for each in graph.values() for path in each.outputs}
    restored: dict[str, Stage] = {}
    computed: dict[str, Stage] = {}

    def need(key: str) -> None:
        if key in restored or key in computed:
            return
        each = graph[key]
        before = ORDER.index(each.verb) < ORDER.index(again)
        if before and (fresh[key] == "current" or _finished(plan, each)):
            restored[key] = each
            return
        computed[key] = each
        for path in each.inputs:
            if path in producer:
                need(producer[path])

    for run in cell.run_names:
        if run in plan.scheduled_runs:
            need(stage(plan, "score", run).key)
    return [graph[key] for key in graph if key in restored], [graph[key] for key in graph if key in computed]


def _finished(plan: Plan, each: Stage) -> bool:
    folder = plan.paths.workspace(each.verb, each.subject, each.fingerprint)
    return is_finished(folder, each.files)


def _restore(plan: Plan, kept: list[Stage], folder: Path) -> Iterator[tuple[str, ...]]:
    """Commands that copy kept results: declared files, or those in the state folder where these are not all here.

    Files are linked where the folder is on the same file system; results are replaced and never written in place. A
    clone has the metrics of its commit, which --force replaces.
    """
    copy = ("cp", "--force", *(("--link",) if _device(folder) == _device(plan.paths.results) else ()))
    declared = [each for each in kept if all(path.is_file() for path in each.outputs)]
    if declared:
        yield (*copy, "--parents", *(str(path) for each in declared for path in each.outputs), str(folder))
    for each in kept:
        if each not in declared:
            state = plan.paths.workspace(each.verb, each.subject, each.fingerprint)
            yield ("mkdir", "-p", *dict.fromkeys(str(folder / path.parent) for path in each.outputs))
            for name, path in each.files.items():
                yield (*copy, str(state / name), str(folder / path))


def _device(path: Path) -> int:
    """The file system of a path, or of its nearest parent that exists."""
    existing = next(parent for parent in (path.resolve(), *path.resolve().parents) if parent.exists())
    return existing.stat().st_dev


def _code(plan: Plan, cell: Cell, folder: Path) -> tuple[list[tuple[str, ...]], list[str]]:
    """Commands that put the code into the folder, and notes about it."""
    provenance = [read_provenance(plan, run) for run in cell.run_names]
    commits = dict.fromkeys(str(each["commit"]) for each in provenance if each.get("commit"))
    notes = (
        ["the sources differed from their commit when a run was trained"]
        if any(each.get("dirty") for each in provenance)
        else []
    )
    if len(commits) > 1:
        notes.append(f"the runs are from several commits ({', '.join(commits)}); the last one is used")
    root = git(Path(), "rev-parse", "--show-toplevel").output
    here = root is not None and Path(root) == Path.cwd()
    known = [
        commit for commit in commits if here and git(Path(), "cat-file", "-e", f"{commit}^{{commit}}").output == ""
    ]
    if known:
        clone = ("git", "clone", "--quiet", "--no-checkout", ".", str(folder))
        return [clone, ("git", "-C", str(folder), "checkout", "--quiet", known[-1])], notes
    package = Path(transgan.__file__).parent
    notes.append("the commit of the runs is not in this folder's repository; the code that runs now is used")
    return [("mkdir", "-p", str(folder)), ("cp", "-R", str(package), str(folder / "transgan"))], notes
