"""The stage train: finished work is passed on at once; else a session trains, going on where the last one stopped. Imports no torch."""

from pathlib import Path

from transgan import files
from transgan.data.pack import MANIFEST
from transgan.plan import Plan
from transgan.workspace import run_stage

OUTPUTS = ("generator.safetensors", "run.json", "history.csv", "samples.png", "dynamics.npz", "provenance.json")


def train(plan: Plan, run_name: str) -> None:
    """Train a run of the plan to its end and publish results/<scale>/runs/<run>/.

    Raises UserError for what the user can mend, Diverged when training ran away, and Stopped (SystemExit) when it was told to stop.
    """
    run = plan.run(run_name)
    results = plan.paths.run(run_name)
    manifest = files.read_json(plan.paths.data(run.dataset_name) / MANIFEST)
    inputs = {"data": str(manifest["sha256"])}
    if run.recipe.dynamics.fid_samples:
        inputs["reference"] = files.sha256(plan.paths.reference(run.dataset_name, run.protocol_name))

    def work(folder: Path) -> None:
        from transgan.training.launch import launch

        launch(plan, run_name, folder)

    run_stage(plan, "train", run_name, {name: results / name for name in OUTPUTS}, work, inputs)
