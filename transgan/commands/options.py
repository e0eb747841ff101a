"""Arguments and options that several verbs of the command line share."""

from pathlib import Path
from typing import Annotated

import typer

Scale = Annotated[
    str | None,
    typer.Option(
        "--scale", help="A scale of the params file: demo, quick or paper. Default: its `scale`.", metavar="S"
    ),
]
ParamsFile = Annotated[
    Path | None, typer.Option("--params", help="The params file. Default: params.yaml.", metavar="FILE")
]
DatasetName = Annotated[str, typer.Argument(metavar="DATASET")]
RunName = Annotated[str, typer.Argument(metavar="RUN")]
TableName = Annotated[str, typer.Argument(metavar="TABLE")]
FigureName = Annotated[str, typer.Argument(metavar="FIGURE")]
ClassifierName = Annotated[str, typer.Argument(metavar="NAME")]
GeneratorSource = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="A run, or a generator file: saved by this project (.safetensors) or by the authors (.pth).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
