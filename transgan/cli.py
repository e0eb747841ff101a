"""The command line: one verb per stage, and tools. It turns errors into one line and an exit code.

Each verb imports what it needs itself, so that `--help` answers in under a second and finished stages need no torch.
"""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from transgan.commands.options import (
    AsJson,
    Calibrate,
    ClassifierName,
    DatasetName,
    Extend,
    FeatureLayer,
    FigureName,
    GeneratorLike,
    GeneratorSource,
    GpuCounts,
    HeadCount,
    KnownDevice,
    Metrics,
    NormName,
    ParamsFile,
    Price,
    ProtocolName,
    ResizeFilter,
    RunName,
    SampleCount,
    Scale,
    TableName,
    WeightsFile,
    WindowSide,
)
from transgan.errors import UserError
from transgan.utils.console import configure_logging, say, say_json
from transgan.utils.exit_codes import fail, one_line_exit

if TYPE_CHECKING:
    from transgan.config.paths import StageName
    from transgan.config.plan import Plan

app = typer.Typer(
    name="transgan",
    help="A reproduction of TransGAN (arXiv 2102.07074): the stages that Snakemake and DVC run, and tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

STAGES, TOOLS = "Stages", "Tools"


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 2 to be fixed by the user, 3 diverged, 128 + n signal n, 1 a bug."""
    configure_logging()
    with one_line_exit():
        try:
            code = app(standalone_mode=False)
        except typer.Abort:
            raise KeyboardInterrupt from None
        except Exception as error:
            if type(error).__module__.startswith(("click", "typer")):  # wrong usage
                message = error.format_message() if hasattr(error, "format_message") else str(error)
                fail(f"{message} See `transgan --help`.", 2)
            raise
        if code == 128 + signal.SIGINT:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    sys.exit(code or 0)


def _plan(params: Path | None, scale: str | None) -> "Plan":
    """The plan. A verb calls this before it imports a stage: libraries read their settings when they are loaded."""
    from transgan.config import plan
    from transgan.hardware.instruction_set import limit_to_avx2

    loaded = plan.load(params, scale)
    if loaded.scale.same_bytes:
        limit_to_avx2()
    return loaded


@app.command(rich_help_panel=STAGES)
def fetch(dataset: DatasetName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Download a dataset's archives, or check those already here. Writes source.json."""
    plan = _plan(params, scale)
    from transgan.data import fetch as stage

    stage.fetch(plan, dataset)


@app.command(rich_help_panel=STAGES)
def prepare(dataset: DatasetName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Decode, crop, resize and pack a dataset into uint8 arrays."""
    plan = _plan(params, scale)
    from transgan.data import prepare as stage

    stage.prepare(plan, dataset)


@app.command(rich_help_panel=STAGES)
def classifier(name: ClassifierName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Train the demo's digit classifier, which stands in for Inception."""
    plan = _plan(params, scale)
    from transgan.scoring import classifier as stage

    stage.train(plan, name)


@app.command(rich_help_panel=STAGES)
def reference(
    dataset: Annotated[str | None, typer.Argument(metavar="DATASET")] = None,
    protocol: Annotated[str | None, typer.Argument(metavar="PROTOCOL")] = None,
    published: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="An .npz with mu and sigma that a protocol names.")
    ] = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Compute the reference statistics of a dataset under a protocol, once for all runs, or import published ones."""
    plan = _plan(params, scale)
    from transgan.scoring import reference as stage

    stage.run(plan, dataset, protocol, published)


@app.command(rich_help_panel=STAGES)
def train(run: RunName, extend: Extend = False, scale: Scale = None, params: ParamsFile = None) -> None:
    """Train a run. An interrupted run resumes from its newest checkpoint."""
    plan = _plan(params, scale)
    from transgan.training import train as stage

    stage.train(plan, run, extend)


@app.command(rich_help_panel=STAGES)
def score(
    target: GeneratorSource,
    like: GeneratorLike = None,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Score a run under its protocol, or a generator file under the protocol of a run."""
    plan = _plan(params, scale)
    from transgan import tracking
    from transgan.metrics.generator_files import is_generator_file
    from transgan.scoring import score as stage

    if is_generator_file(plan, target):
        stage.score_file(plan, Path(target), like)
        return
    if like is not None:
        raise UserError(f"--like is for generator files, and {target} is a run; leave --like out")
    stage.score(plan, target)
    tracking.record_scores(plan, target)


@app.command(rich_help_panel=STAGES)
def table(name: TableName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Write a table as CSV, Markdown and LaTeX."""
    plan = _plan(params, scale)
    from transgan.report import tables as stage

    stage.make(plan, name)
    _remember(plan, "table", name)


@app.command(rich_help_panel=STAGES)
def cells(scale: Scale = None, params: ParamsFile = None) -> None:
    """Write the cells of all tables to one CSV file, and log short runs to MLflow."""
    plan = _plan(params, scale)
    from transgan import tracking
    from transgan.report import cells_frame as stage

    stage.write(plan)
    _remember(plan, "cells", "all")
    tracking.record_short_runs(plan)


@app.command(rich_help_panel=STAGES)
def figure(name: FigureName, scale: Scale = None, params: ParamsFile = None) -> None:
    """Draw a figure as PNG and PDF."""
    plan = _plan(params, scale)
    from transgan.report import figures as stage

    stage.make(plan, name)
    _remember(plan, "figure", name)


def _remember(plan: "Plan", verb: "StageName", name: str) -> None:
    from transgan.pipeline.freshness import remember
    from transgan.pipeline.stages import stage

    remember(plan, stage(plan, verb, name))


@app.command(rich_help_panel=TOOLS)
def report(scale: Scale = None, params: ParamsFile = None) -> None:
    """Write report.html, provenance.json and cost_measured.csv of a scale, and log its tables to MLflow."""
    from transgan.report import page

    page.make(_plan(params, scale))


@app.command(rich_help_panel=TOOLS)
def trace(
    table: TableName,
    row: Annotated[str, typer.Argument(metavar="ROW")],
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Show where the numbers in a table's row come from: runs, commits, data, machines, MLflow."""
    from transgan.report import trace as tracing

    tracing.trace(_plan(params, scale), table, row)


@app.command(name="plan", rich_help_panel=TOOLS)
def show_plan(
    scale: Scale = None,
    params: ParamsFile = None,
    as_json: AsJson = False,
    device: KnownDevice = None,
    calibrate: Calibrate = False,
    gpus: GpuCounts = None,
    price: Price = None,
) -> None:
    """List every run of a scale with its size, cost, memory, hours, disk space and status, and the sums by table."""
    from transgan.commands import show_plan

    show_plan.show(_plan(params, scale), as_json, device, calibrate, gpus, price)


@app.command(rich_help_panel=TOOLS)
def rehearse(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Default: all runs of the scale.")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, or meta: shapes and FLOPs only.", metavar="NAME")
    ] = "auto",
    again: Annotated[bool, typer.Option("--again", help="Also those already rehearsed on this device.")] = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Try each run for a few steps at its real size: does it fit, how fast is it, does every later stage work."""
    from transgan.commands import rehearse as tool

    tool.rehearse(_plan(params, scale), runs or [], device, again)


@app.command(name="data", rich_help_panel=TOOLS)
def show_data(
    scale: Scale = None,
    params: ParamsFile = None,
    as_json: AsJson = False,
) -> None:
    """List every dataset of a scale with its state, size, terms and next step."""
    from transgan.commands import show_data

    show_data.show(_plan(params, scale), as_json)


@app.command(rich_help_panel=TOOLS)
def sync(scale: Scale = None, params: ParamsFile = None) -> None:
    """Log to MLflow what it lacks: curves, images and scores of finished runs, and tables."""
    from transgan import tracking

    tracking.sync(_plan(params, scale))


@app.command(rich_help_panel=TOOLS)
def clean(
    delete: Annotated[bool, typer.Option("--delete", help="Remove the listed folders.")] = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """List or remove state folders that no run of the plan uses any more."""
    from transgan.commands import clean as tool

    tool.clean(_plan(params, scale), delete)


@app.command(rich_help_panel=TOOLS)
def doctor(scale: Scale = None, params: ParamsFile = None) -> None:
    """Show what this machine has, and what is missing."""
    from transgan.commands import doctor as tool

    tool.doctor(_plan(params, scale))


@app.command(rich_help_panel=TOOLS)
def summary(scale: Scale = None, params: ParamsFile = None) -> None:
    """Print the first table's numbers, how far all tables are, and where to find everything else."""
    from transgan.commands import summary as tool

    tool.summary(_plan(params, scale))


@app.command(rich_help_panel=TOOLS)
def sample(
    target: GeneratorSource,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="x.png: a grid; x.npz: an array; otherwise a folder of PNGs.")
    ],
    count: Annotated[int, typer.Option("--count", help="Number of images.")] = 64,
    seed: Annotated[int, typer.Option("--seed", help="Evaluation seed of the latents.")] = 0,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Generate images."""
    plan = _plan(params, scale)
    from transgan.scoring import sample

    sample.sample(plan, target, out, count, seed)


@app.command(rich_help_panel=TOOLS)
def evaluate(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="A run, a generator file, or images in a folder, an archive or an .npz."),
    ],
    reference: Annotated[
        str,
        typer.Option(
            "--reference", metavar="REF", help="A dataset, a pack, a folder of images or an .npz of statistics."
        ),
    ],
    protocol: ProtocolName = None,
    metrics: Metrics = None,
    samples: SampleCount = None,
    weights: WeightsFile = None,
    layer: FeatureLayer = None,
    resize: ResizeFilter = None,
    as_json: AsJson = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Compute the metrics of a generator or of images with respect to a reference."""
    plan = _plan(params, scale)
    from transgan.scoring import evaluate as scoring

    options = (("samples", samples), ("weights", weights), ("feature_layer", layer), ("resize", resize))
    changes = {key: value for key, value in options if value is not None}
    requested = [metric.strip() for metric in metrics.split(",")] if metrics else []
    result = scoring.evaluate(plan, target, reference, protocol, requested, changes)
    if as_json:
        say_json(result)
    else:
        say(scoring.render(result))


@app.command(rich_help_panel=TOOLS)
def references(
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="NAME", help="Remove the stored statistics of this reference.")
    ] = None,
    export: Annotated[
        str | None, typer.Option("--export", metavar="NAME", help="Write mu and sigma of this reference to --to.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where --export writes.")] = Path("statistics.npz"),
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """List the stored reference statistics, remove them, or export them for other FID programs."""
    from transgan.commands import references as tool

    plan = _plan(params, scale)
    if remove is not None:
        tool.remove(plan, remove)
    elif export is not None:
        tool.export(plan, export, to)
    else:
        tool.show(plan)


@app.command(name="import-official", rich_help_panel=TOOLS)
def import_official(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint published by the authors (.pth).")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The output file. Default: FILE with the suffix .safetensors.")
    ] = None,
    norm: NormName = None,
    window: WindowSide = None,
    heads: HeadCount = None,
) -> None:
    """Convert a checkpoint of the authors into a generator file for sample, score and evaluate."""
    from transgan.models import official_checkpoints

    written = official_checkpoints.import_official(
        file, out or file.with_suffix(".safetensors"), norm=norm, window=window, heads=heads
    )
    say(str(written))
