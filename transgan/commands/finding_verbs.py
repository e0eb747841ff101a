"""The verbs of findings: tools that question a number instead of computing one for a table.

Each verb imports what it needs itself, so that `--help` answers in under a second.
"""

from pathlib import Path
from typing import Annotated

import typer

from transgan.commands import completion
from transgan.commands.loading import load_plan
from transgan.commands.options import (
    AsJson,
    GeneratorLike,
    GeneratorSource,
    ParamsFile,
    RowName,
    RunName,
    Scale,
    TableName,
)
from transgan.errors import UserError
from transgan.utils.console import say


def audit(
    target: GeneratorSource,
    expect: Annotated[
        float | None,
        typer.Option("--expect", metavar="FID", help="The claimed number. Default: the paper's for the run."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", metavar="D", help="Largest difference that passes. Default: that of verdicts, 3%."),
    ] = None,
    like: GeneratorLike = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            metavar="P",
            help="This project's protocol. Default: the run's.",
            autocompletion=completion.names("protocols"),
        ),
    ] = None,
    paper_protocol: Annotated[
        str | None,
        typer.Option(
            "--paper-protocol",
            metavar="P",
            help="The claim's protocol. Default: the one with published statistics of the dataset, else the run's.",
            autocompletion=completion.names("protocols"),
        ),
    ] = None,
    statistics: Annotated[
        Path | None,
        typer.Option("--statistics", metavar="FILE", help="An .npz with mu and sigma, as the claim's reference."),
    ] = None,
    as_json: AsJson = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Hold a generator's FID against a claimed one: which part is the reference, the protocol, the generator.

    Exit code 0: within the tolerance. 1: outside. 2: bad input.
    """
    plan = load_plan(params, scale)
    from transgan.commands import audit as tool

    if not tool.audit(plan, target, like, expect, tolerance, protocol, paper_protocol, statistics, as_json):
        raise typer.Exit(1)


def replay(
    table: TableName,
    row: Annotated[
        str | None,
        typer.Argument(metavar="ROW", help="A row of the table; none: --export the whole table."),
    ] = None,
    column: Annotated[
        str | None, typer.Argument(metavar="COLUMN", help="The title or the dataset of a column of the table.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="M", help="fid or is, where the column has both. Default: fid.")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Execute the commands, and compare.")] = False,
    again: Annotated[
        str,
        typer.Option(
            "--again",
            metavar="STAGE",
            help="The first stage that is computed although its result is kept: "
            "fetch, prepare, classifier, reference, train, score or table.",
        ),
    ] = "score",
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="An empty folder to work in. Default: one in state/.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", metavar="D", help="With --run: the largest difference that is the same.")
    ] = 0.0,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="DIR", help="Write an RO-Crate of the cell, or of the table, to a new folder."
        ),
    ] = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Print the shortest chain of commands that computes one cell of a table; with --run, execute and compare.

    Exit code 0: the same number. 1: another one. 2: bad input, or a command failed.
    """
    plan = load_plan(params, scale)
    from transgan.commands import replay as tool

    if export is not None:
        tool.export(plan, table, row, column, metric, export)
    elif row is None or column is None:
        raise UserError("name ROW and COLUMN of a cell, or --export DIR for a whole table")
    elif not tool.replay(plan, table, row, column, metric, run, again, into, tolerance):
        raise typer.Exit(1)


def pool(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that `replay --export` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Pool the RO-Crates of several labs into one table, with a line per cell and machine.

    Where machines have two or more seeds in common, a second table says how much of the spread comes from machines.
    Crates whose numbers have different fingerprints are refused.
    """
    from transgan.commands import pool as tool

    tool.pool(folders, as_json)


def fid_budget(
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="A trained run. Default: the first one of the scale.",
            autocompletion=completion.names("runs"),
        ),
    ] = None,
    port: Annotated[
        list[Path] | None,
        typer.Option(
            "--port",
            metavar="FILE",
            help="Weights of the same extractor from another port. Default: data/incoming/port-*.",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="TARGET",
            help="Real images instead of a run: a dataset, folder, archive or array; one half against the other.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            metavar="P",
            help="With --images: the protocol. Default: that of the runs on the dataset.",
            autocompletion=completion.names("protocols"),
        ),
    ] = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Measure what moves FID by how much: a run's, in units of the paper's own gains, or that of real images."""
    plan = load_plan(params, scale)
    from transgan.report import fid_budget as tool

    if images is None:
        if protocol is not None:
            raise UserError("--protocol goes with --images; a run is measured under its own protocol")
        written = tool.make(plan, run, port or ())
    elif run is None and not port:
        written = tool.make_of_images(plan, images, protocol)
    else:
        raise UserError("--images takes the place of a run: leave --run and --port out")
    for path in written:
        say(str(path))


def paired(table: TableName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Compare the rows of a table seed by seed, with intervals, and say how many seeds the pairing saved."""
    plan = load_plan(params, scale)
    from transgan.report import paired as tool

    for path in tool.make(plan, table):
        say(str(path))


def variance(table: TableName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Say how much of the spread of a table's scores is of training seeds, evaluation seeds and numbers of samples."""
    plan = load_plan(params, scale)
    from transgan.report import variance as tool

    for path in tool.make(plan, table):
        say(str(path))


def power(
    row: RowName,
    other: RowName,
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="TABLE",
            help="The table of the rows. Default: the only one that has both.",
            autocompletion=completion.names("tables"),
        ),
    ] = None,
    as_json: AsJson = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Say how many training seeds separate two rows of a table, from the spread measured so far."""
    plan = load_plan(params, scale)
    from transgan.commands import power as tool

    tool.show(plan, row, other, table, as_json)


def leak(
    run: RunName,
    n_critic: Annotated[
        str, typer.Option("--n-critic", metavar="N,N", help="Discriminator steps per generator step, one run for each.")
    ] = "1,2,3,4,5",
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", help="Real images to train on, the run's first. Default: all."),
    ] = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Measure the gradient that a generator step leaves in D against D's own, step by step, for several n_critic."""
    plan = load_plan(params, scale)
    from transgan.report import leak as tool

    if not all(part.strip().isdecimal() for part in n_critic.split(",")):
        raise UserError(f"--n-critic {n_critic}: write numbers with commas between them, for example 1,2,3")
    for path in tool.make(plan, run, [int(part) for part in n_critic.split(",")], images):
        say(str(path))


def seams(
    run: RunName,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--beside",
            metavar="RUN",
            help="Another run on the same data. Always shown: those that differ in the form of attention or seed only.",
            autocompletion=completion.names("runs"),
        ),
    ] = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Measure seams between the tiles of a trained run, and its power spectrum, along training beside other forms."""
    plan = load_plan(params, scale)
    from transgan.report import seams as tool

    for path in tool.make(plan, run, beside or ()):
        say(str(path))


def factorial(table: TableName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Analyse a table that is a full factorial design: effects, interactions, Shapley shares, orders of adding."""
    plan = load_plan(params, scale)
    from transgan.report import factorial as tool

    for path in tool.make(plan, table):
        say(str(path))


VERBS = (audit, replay, pool, fid_budget, paired, variance, power, leak, seams, factorial)
