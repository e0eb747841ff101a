"""A command that finds its work finished imports no slow library: the demo starts a hundred commands."""

import subprocess
import sys

from tests.conftest import ROOT

SLOW = {"torch", "mlflow", "matplotlib", "seaborn", "sklearn"}
LIGHT = (
    "cli",
    "commands.clean",
    "commands.doctor",
    "commands.show_data",
    "commands.show_plan",
    "commands.summary",
    "config.plan",
    "cost.budget",
    "cost.counts",
    "data.fetch",
    "data.prepare",
    "hardware.info",
    "metrics.score_file",
    "metrics.weights",
    "pipeline.freshness",
    "pipeline.provenance",
    "pipeline.snakemake_inputs",
    "pipeline.stages",
    "pipeline.workspace",
    "report.figures",
    "report.tables",
    "report.trace",
    "scoring.classifier",
    "scoring.reference",
    "scoring.score",
    "tracking",
    "training.train",
)


def test_light_modules_import_no_slow_library() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {LIGHT}:\n"
        "    importlib.import_module(f'transgan.{name}')\n"
        f"    assert not {SLOW} & set(sys.modules), (name, {SLOW} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
