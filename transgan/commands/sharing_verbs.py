"""The verbs that hand results on: weights in a folder, and MLflow's page.

Each verb imports what it needs itself, so that `--help` answers in under a second.
"""

from pathlib import Path
from typing import Annotated

import typer

from transgan.commands.loading import load_plan
from transgan.commands.options import ParamsFile, RunName, Scale


def export(
    run: RunName,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    licence: Annotated[
        str,
        typer.Option(
            "--license", metavar="ID", help="Licence of the weights as Hugging Face names it, such as cc-by-4.0."
        ),
    ] = "other",
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Write a trained generator as a folder for others: safetensors, model card, samples."""
    plan = load_plan(params, scale)
    from transgan.commands import export as tool

    tool.export(plan, run, folder, licence)


def ui(
    port: Annotated[int, typer.Option("--port", metavar="N", help="The page's port on this machine.", min=1)] = 5000,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Print where MLflow shows this scale's runs, models and tables, and open its server for this project."""
    plan = load_plan(params, scale)
    from transgan.commands import ui as tool

    tool.ui(plan, port)


VERBS = (export, ui)
