"""The stage train: finished work is passed on at once; else a session trains, going on where the last one stopped. Imports no torch.

One process or several: started by torchrun, the processes train together; started alone with a recipe of several devices, it starts them.
"""

import os
from pathlib import Path

from transgan.config.plan import Plan
from transgan.data.pack import MANIFEST
from transgan.pipeline.freshness import require, require_reference
from transgan.pipeline.workspace import Work, run_stage
from transgan.utils import files

GO, FINISHED = 2, 1  # what the main process tells the others: train, or there is nothing to do
OUTPUTS = ("generator.safetensors", "run.json", "history.csv", "samples.png", "dynamics.npz", "provenance.json")


def train(plan: Plan, run_name: str) -> None:
    """Train a run of the plan to its end and publish results/<scale>/runs/<run>/.

    Raises UserError for what the user can mend, Diverged when training ran away, and SystemExit when it was told to stop.
    """
    if "WORLD_SIZE" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        _train_together(plan, run_name)
        return

    def work(folder: Path) -> None:
        if plan.run(run_name).recipe.devices > 1:
            from transgan.training.distributed.launch import start_processes

            start_processes(plan, run_name, folder)
            return
        from transgan.training.loop import TrainingLoop

        TrainingLoop(plan, run_name, folder).run()

    finish(plan, run_name, work)


def _train_together(plan: Plan, run_name: str) -> None:
    """Train as one of the processes that torchrun started; all share the project's folder."""
    from transgan.training.distributed.launch import device_type
    from transgan.training.distributed.process_group import init_process_group
    from transgan.training.loop import TrainingLoop

    process_group = init_process_group(device_type(plan))
    folder = plan.paths.workspace("train", run_name, plan.fingerprint("train", run_name))
    if not process_group.is_main:
        if process_group.all_reduce_max(0) == GO:
            TrainingLoop(plan, run_name, folder, process_group).run()
        else:
            process_group.close()
        return
    announced = False

    def work(folder: Path) -> None:
        nonlocal announced
        announced = True
        process_group.all_reduce_max(GO)
        TrainingLoop(plan, run_name, folder, process_group).run()

    try:
        finish(plan, run_name, work)
    finally:
        if not announced:  # finished before, or nothing can be done: the others wait for neither
            process_group.all_reduce_max(FINISHED)
            process_group.close()


def finish(plan: Plan, run_name: str, work: Work) -> None:
    """Make sure that the run's results are there, by `work(folder)` where they are not finished."""
    run = plan.run(run_name)
    results = plan.paths.run(run_name)
    pack = plan.paths.data(run.dataset_name) / MANIFEST
    require(plan, "prepare", run.dataset_name, pack, "prepare", run.dataset_name)
    manifest = files.read_json(pack)
    inputs = {"data": str(manifest["sha256"])}
    if run.recipe.dynamics.fid_samples:
        inputs["reference"] = files.sha256(require_reference(plan, run))
    run_stage(plan, "train", run_name, {name: results / name for name in OUTPUTS}, work, inputs)
