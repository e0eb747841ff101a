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
GeneratorLike = Annotated[
    str | None,
    typer.Option(
        "--like", metavar="RUN", help="For a file: the run whose data and protocol apply. Default: by resolution."
    ),
]
Extend = Annotated[
    bool, typer.Option("--extend", help="Continue the same run's shorter training, after `images` was raised.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Of `plan`: for which devices.
KnownDevice = Annotated[
    str | None, typer.Option("--device", help="Hours on an H200, H100, A100, RTX 4090 or V100.", metavar="NAME")
]
Calibrate = Annotated[
    bool,
    typer.Option("--calibrate", help="First measure this machine's device, in about a minute. Stored for later."),
]
GpuCounts = Annotated[
    str | None,
    typer.Option(
        "--gpus", help="How long all of it takes on so many GPUs: 32, or several numbers: 4,32,256.", metavar="N[,N...]"
    ),
]
Price = Annotated[
    float | None, typer.Option("--price", help="With --gpus: the price of a GPU for an hour, in any currency.")
]

# Of `evaluate`: changes to a protocol.
ProtocolName = Annotated[
    str | None,
    typer.Option("--protocol", help="A protocol of the params file. Default: that of the target or of the reference."),
]
Metrics = Annotated[
    str | None, typer.Option("--metrics", help="Comma-separated: is, fid, kid, prc. Default: the protocol's.")
]
SampleCount = Annotated[int | None, typer.Option("--samples", help="Number of images, instead of the protocol's.")]
WeightsFile = Annotated[str | None, typer.Option("--weights", help="Extractor weights, instead of the protocol's.")]
FeatureLayer = Annotated[str | None, typer.Option("--layer", help="Feature layer, instead of the protocol's.")]
ResizeFilter = Annotated[
    str | None,
    typer.Option("--resize", help="Filter for images of another size: lanczos, bicubic, bilinear or box."),
]

# Of `import-official`: what a checkpoint may not determine.
NormName = Annotated[
    str | None, typer.Option("--norm", help="layer, pixel or none; needed if the file does not determine it.")
]
WindowSide = Annotated[
    int | None,
    typer.Option("--window", help="Side of the tiles of grid attention; needed if the file does not determine it."),
]
HeadCount = Annotated[
    int | None, typer.Option("--heads", help="Number of attention heads; needed if the file does not determine it.")
]
