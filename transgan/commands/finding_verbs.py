"""The verbs of findings: tools that question a number instead of computing one for a table.

Each verb imports what it needs itself, so that `--help` answers in under a second.
"""

from pathlib import Path
from typing import Annotated

import typer

from transgan.commands import completion
from transgan.commands.loading import load_plan
from transgan.commands.options import AsJson, GeneratorLike, GeneratorSource, ParamsFile, Scale


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


VERBS = (audit,)
