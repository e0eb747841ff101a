"""The command line: one verb per stage, and tools. It turns errors into one line and an exit code.

Each verb imports what it needs itself, so that `--help` answers in under a second and finished stages need no torch.
"""

import signal
import sys
from pathlib import Path
from typing import NoReturn

import typer

from transgan.commands import finding_verbs, sharing_verbs, stage_verbs
from transgan.commands.init import init
from transgan.commands.loading import load_plan
from transgan.commands.options import (
    AsJson,
    Calibrate,
    Delete,
    Evaluated,
    EvaluationSeed,
    ExportedReference,
    ExportFile,
    FeatureLayer,
    GeneratorSource,
    GpuCounts,
    HeadCount,
    ImageCount,
    ImagesFile,
    ImportedFile,
    KnownDevice,
    Metrics,
    NormName,
    OfficialFile,
    ParamsFile,
    PlannedRuns,
    PlannedTables,
    Price,
    ProtocolName,
    ReferenceSource,
    RehearseAgain,
    RehearsedDevice,
    RemovedReference,
    ResizeFilter,
    RowName,
    Runs,
    SampleCount,
    Scale,
    TableName,
    Version,
    WeightsFile,
    WindowSide,
)
from transgan.utils.console import configure_logging, say, say_json
from transgan.utils.exit_codes import fail, one_line_exit

app = typer.Typer(
    name="transgan",
    help="A reproduction of TransGAN (arXiv 2102.07074): the stages that Snakemake and DVC run, and tools.",
    epilog="`transgan VERB --help` explains a verb. Start with `transgan plan` and `transgan data`.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

# Panels of `transgan --help`, in this order.
STAGES, TOOLS, FINDINGS, SHARING = "Stages", "Tools", "Question the numbers", "Share"
for verb in stage_verbs.VERBS:
    app.command(rich_help_panel=STAGES)(verb)


@app.callback()
def options(version: Version = False) -> None:
    """Options of no verb."""


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 2 to be fixed by the user, 3 diverged, 128 + n signal n, 1 a bug."""
    configure_logging()
    with one_line_exit():
        try:
            code = app(prog_name="transgan", standalone_mode=False)
        except typer.Abort:
            raise KeyboardInterrupt from None
        except Exception as error:
            if type(error).__module__.startswith(("click", "typer")):  # wrong usage
                message = error.format_message() if hasattr(error, "format_message") else str(error)
                context = getattr(error, "ctx", None)
                message += "" if message.endswith((".", "?")) else "."
                fail(f"{message} See `{context.command_path if context else 'transgan'} --help`.", 2)
            raise
        if code == 128 + signal.SIGINT:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    sys.exit(code or 0)


@app.command(rich_help_panel=TOOLS)
def report(scale: Scale = None, params: ParamsFile = None) -> None:
    """Write report.html, provenance.json and cost_measured.csv of a scale, and log its tables to MLflow."""
    from transgan.report import page

    page.make(load_plan(params, scale))


@app.command(rich_help_panel=TOOLS)
def trace(
    table: TableName,
    row: RowName,
    as_json: AsJson = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Show where the numbers in a table's row come from: runs, commits, data, machines, MLflow."""
    from transgan.report import trace as tracing

    tracing.trace(load_plan(params, scale), table, row, as_json)


@app.command(name="plan", rich_help_panel=TOOLS)
def show_plan(
    scale: Scale = None,
    params: ParamsFile = None,
    as_json: AsJson = False,
    device: KnownDevice = None,
    calibrate: Calibrate = False,
    gpus: GpuCounts = None,
    price: Price = None,
    runs: PlannedRuns = None,
    tables: PlannedTables = None,
) -> None:
    """List every run of a scale with its size, cost, memory, hours, disk space and status, and the sums by table."""
    from transgan.commands import show_plan

    plan = load_plan(params, scale, anywhere=True)
    show_plan.show(plan, as_json, device, calibrate, gpus, price, runs or (), tables or ())


@app.command(rich_help_panel=TOOLS)
def status(as_json: AsJson = False, scale: Scale = None, params: ParamsFile = None) -> None:
    """Show how far a scale is: what is done, running, resumable or failed, and what to type next."""
    from transgan.commands import status as tool

    tool.show(load_plan(params, scale), as_json)


@app.command(rich_help_panel=TOOLS)
def rehearse(
    runs: Runs = None,
    device: RehearsedDevice = "auto",
    again: RehearseAgain = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Try each run for a few steps at its real size: does it fit, how fast is it, does every later stage work."""
    from transgan.commands import rehearse as tool

    tool.rehearse(load_plan(params, scale), runs or [], device, again)


@app.command(name="data", rich_help_panel=TOOLS)
def show_data(
    scale: Scale = None,
    params: ParamsFile = None,
    as_json: AsJson = False,
) -> None:
    """List every dataset of a scale with its state, size, terms and next step."""
    from transgan.commands import show_data

    show_data.show(load_plan(params, scale, anywhere=True), as_json)


@app.command(rich_help_panel=TOOLS)
def sync(scale: Scale = None, params: ParamsFile = None) -> None:
    """Log to MLflow what it lacks: curves, images and scores of finished runs, and tables."""
    from transgan import tracking

    tracking.sync(load_plan(params, scale))


@app.command(rich_help_panel=TOOLS)
def clean(
    delete: Delete = False,
    as_json: AsJson = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """List or remove state folders that no run of the plan uses any more."""
    from transgan.commands import clean as tool

    tool.clean(load_plan(params, scale), delete, as_json)


@app.command(rich_help_panel=TOOLS)
def doctor(as_json: AsJson = False, scale: Scale = None, params: ParamsFile = None) -> None:
    """Show what this machine has, and what is missing."""
    from transgan.commands import doctor as tool

    tool.doctor(load_plan(params, scale, anywhere=True), as_json)


@app.command(rich_help_panel=TOOLS)
def summary(as_json: AsJson = False, scale: Scale = None, params: ParamsFile = None) -> None:
    """Print the first table's numbers, how far all tables are, and where to find everything else."""
    from transgan.commands import summary as tool

    tool.summary(load_plan(params, scale), as_json)


@app.command(rich_help_panel=TOOLS)
def sample(
    target: GeneratorSource,
    out: ImagesFile,
    count: ImageCount = 64,
    seed: EvaluationSeed = 0,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """Generate images."""
    plan = load_plan(params, scale, anywhere=True)
    from transgan.scoring import sample

    sample.sample(plan, target, out, count, seed)


@app.command(rich_help_panel=TOOLS)
def evaluate(
    target: Evaluated,
    reference: ReferenceSource,
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
    plan = load_plan(params, scale, anywhere=True)
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
    remove: RemovedReference = None,
    export: ExportedReference = None,
    to: ExportFile = Path("statistics.npz"),
    as_json: AsJson = False,
    scale: Scale = None,
    params: ParamsFile = None,
) -> None:
    """List the stored reference statistics, remove them, or export them for other FID programs."""
    from transgan.commands import references as tool

    plan = load_plan(params, scale, anywhere=True)
    if remove is not None:
        tool.remove(plan, remove)
    elif export is not None:
        tool.export(plan, export, to)
    else:
        tool.show(plan, as_json)


@app.command(name="import-official", rich_help_panel=TOOLS)
def import_official(
    file: OfficialFile,
    out: ImportedFile = None,
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


app.command(rich_help_panel=TOOLS)(init)
for verbs, panel in ((finding_verbs.VERBS, FINDINGS), (sharing_verbs.VERBS, SHARING)):
    for tool_verb in verbs:
        app.command(rich_help_panel=panel)(tool_verb)
