"""Arguments and options that several verbs of the command line share."""

from pathlib import Path
from typing import Annotated

import typer

from transgan import __version__
from transgan.commands import completion
from transgan.utils.console import say


def _print_version(asked: bool) -> None:
    if asked:
        say(f"transgan {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
]
Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        help="A scale of the params file: demo, quick or paper. Default: its `scale`.",
        metavar="S",
        autocompletion=completion.names("scales"),
    ),
]
ParamsFile = Annotated[
    Path | None, typer.Option("--params", help="The params file. Default: params.yaml.", metavar="FILE")
]
DatasetName = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="A dataset of the params file; `transgan data` lists them.",
        autocompletion=completion.names("datasets"),
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run of the params file; `transgan plan` lists them.",
        autocompletion=completion.names("runs"),
    ),
]
TableName = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="A table of the params file; `transgan plan` lists them.",
        autocompletion=completion.names("tables"),
    ),
]
RowName = Annotated[str, typer.Argument(metavar="ROW", help="The name of a row of the table, as the table has it.")]
FigureName = Annotated[
    str,
    typer.Argument(
        metavar="FIGURE", help="An entry of `figures` in the params file.", autocompletion=completion.names("figures")
    ),
]
ClassifierName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="An entry of `classifiers` in the params file.",
        autocompletion=completion.names("classifiers"),
    ),
]
GeneratorSource = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="A run, or a generator file: saved by this project (.safetensors) or by the authors (.pth).",
        autocompletion=completion.names("runs"),
    ),
]
GeneratorLike = Annotated[
    str | None,
    typer.Option(
        "--like",
        metavar="RUN",
        help="For a file: the run whose data and protocol apply. Default: by resolution.",
        autocompletion=completion.names("runs"),
    ),
]
Extend = Annotated[
    bool, typer.Option("--extend", help="Continue the same run's shorter training, after `images` was raised.")
]
Again = Annotated[
    bool,
    typer.Option("--again", help="Compute a finished result again. It stays until the new one is complete."),
]
ChangedValues = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value for this call: recipe.n_critic=2, model.generator.width=64 or seed=3. Repeatable. The run "
        "gets a name of its own.",
    ),
]
ChangedName = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="With --set: the name. Default: RUN and the changed values.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Of `reference`.
ReferenceDataset = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="A dataset of the params file. Neither it nor PROTOCOL with --import.",
        autocompletion=completion.names("datasets"),
    ),
]
ReferenceProtocol = Annotated[
    str | None,
    typer.Argument(
        metavar="PROTOCOL", help="A protocol of the params file.", autocompletion=completion.names("protocols")
    ),
]
PublishedStatistics = Annotated[
    Path | None, typer.Option("--import", metavar="FILE", help="An .npz with mu and sigma that a protocol names.")
]

# Of `references`.
RemovedReference = Annotated[
    str | None, typer.Option("--remove", metavar="NAME", help="Remove the stored statistics of this reference.")
]
ExportedReference = Annotated[
    str | None, typer.Option("--export", metavar="NAME", help="Write mu and sigma of this reference to --to.")
]
ExportFile = Annotated[Path, typer.Option("--to", metavar="FILE", help="Where --export writes.")]

# Of `clean`.
Delete = Annotated[bool, typer.Option("--delete", help="Remove the listed folders.")]

# Of `rehearse`: which runs, and where.
Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Default: all runs of the scale.", autocompletion=completion.names("runs")),
]
RehearsedDevice = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, or meta: shapes and FLOPs only.", metavar="NAME")
]
RehearseAgain = Annotated[bool, typer.Option("--again", help="Also those already rehearsed on this device.")]

# Of `plan`: which runs, and for which devices.
PlannedRuns = Annotated[
    list[str] | None,
    typer.Option("--run", metavar="RUN", help="Only this run. Repeatable.", autocompletion=completion.names("runs")),
]
PlannedTables = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        metavar="TABLE",
        help="Only the runs of this table. Repeatable.",
        autocompletion=completion.names("tables"),
    ),
]
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

# Of `sample`: which images, and where.
ImagesFile = Annotated[
    Path, typer.Argument(metavar="OUT", help="x.png: a grid; x.npz: an array; otherwise a folder of PNGs.")
]
ImageCount = Annotated[int, typer.Option("--count", help="Number of images.")]
EvaluationSeed = Annotated[int, typer.Option("--seed", help="Evaluation seed of the latents.", min=0)]

# Of `evaluate`: images, reference, and changes to a protocol.
Evaluated = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="A run, a generator file, or images: a folder, an archive, an .npz or an .npy.",
        autocompletion=completion.names("runs"),
    ),
]
ReferenceSource = Annotated[
    str,
    typer.Option(
        "--reference",
        metavar="REF",
        help="A dataset, a pack, images, or an .npz of statistics.",
        autocompletion=completion.names("datasets"),
    ),
]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="A protocol of the params file. Default: that of the target or of the reference.",
        autocompletion=completion.names("protocols"),
    ),
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

# Of `import-official`: files, and what a checkpoint may not determine.
OfficialFile = Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint published by the authors (.pth).")]
ImportedFile = Annotated[
    Path | None, typer.Option("--out", help="The output file. Default: FILE with the suffix .safetensors.")
]
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
