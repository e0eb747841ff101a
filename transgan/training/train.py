"""The stage `train`: publishes a finished run at once; otherwise trains it, starting from its newest checkpoint.

One process trains alone, or starts one process per device of the recipe, or is one of those that torchrun or srun has
started.
Torch is imported only if there is something to train.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from transgan.config.paths import MANIFEST
from transgan.config.plan import Plan
from transgan.errors import Diverged, UserError
from transgan.pipeline.freshness import require, require_reference
from transgan.pipeline.stages import stage
from transgan.pipeline.workspace import Work, again_folder, run_stage
from transgan.training import extension
from transgan.training.distributed import slurm_step
from transgan.utils import files

NOTHING_TO_DO, TRAIN, TRAIN_AGAIN = 1, 2, 3  # the main process's message to the others under torchrun


def train(plan: Plan, run_name: str, extend: bool = False, again: bool = False) -> None:
    """Train a run of the plan to its end and publish results/<scale>/runs/<run>/.

    With `extend`, training that has no checkpoint yet continues from the last one of a run that differs in its length
    only. With `again`, a finished run is trained again from the start. Raises UserError for a mistake of the user's,
    Diverged if training diverges, and Stopped after a stop signal.
    """
    slurm_step.meet()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        try:
            _train_under_torchrun(plan, run_name, extend, again)
        except (UserError, Diverged) as error:
            if os.environ["RANK"] == "0":
                raise
            sys.exit(error.exit_code)  # the first process says why
        return

    def work(folder: Path) -> None:
        from transgan.training.distributed.launch import start_processes
        from transgan.training.loop import TrainingLoop

        if plan.run(run_name).recipe.devices > 1:
            start_processes(plan, run_name, folder)
        else:
            TrainingLoop(plan, run_name, folder).train()

    _run_stage(plan, run_name, work, extend, again)


def _train_under_torchrun(plan: Plan, run_name: str, extend: bool, again: bool) -> None:
    """Train as one of the processes of torchrun or srun. The main process runs the stage; the others join it."""
    from transgan.training.distributed.launch import device_type
    from transgan.training.distributed.process_group import init_process_group
    from transgan.training.loop import TrainingLoop

    own = plan.paths.workspace("train", run_name, plan.fingerprint("train", run_name))
    process_group = init_process_group(device_type(plan))
    if not process_group.is_main:
        if (message := process_group.all_reduce_max(0)) in (TRAIN, TRAIN_AGAIN):
            folder = own if message == TRAIN else again_folder(own)
            TrainingLoop(plan, run_name, folder, process_group).train()
        else:
            process_group.close()
        return

    announced = False

    def work(folder: Path) -> None:
        nonlocal announced
        announced = True
        process_group.all_reduce_max(TRAIN if folder == own else TRAIN_AGAIN)
        TrainingLoop(plan, run_name, folder, process_group).train()

    try:
        _run_stage(plan, run_name, work, extend, again)
    finally:
        if not announced:  # the run is finished, or an input is missing: release the other processes
            process_group.all_reduce_max(NOTHING_TO_DO)
            process_group.close()


def _run_stage(plan: Plan, run_name: str, work: Work, extend: bool, again: bool) -> None:
    """Check the inputs and publish the outputs, which `work(folder)` computes unless they are finished."""
    run = plan.run(run_name)
    pack = plan.paths.data(run.dataset_name)
    require(plan, "prepare", run.dataset_name, pack / MANIFEST, "prepare", run.dataset_name)
    manifest = files.read_object(pack / MANIFEST, plan.command("prepare", run.dataset_name), sha256=str)
    inputs = {"data": manifest["sha256"]}
    if run.recipe.dynamics.fid_samples:
        inputs["reference"] = files.sha256(require_reference(plan, run))

    def work_on_verified_data(folder: Path) -> Mapping[str, str] | None:
        from transgan.data.pack import open_pack

        open_pack(plan, run.dataset_name, verify=True)
        (extension.continue_shorter if extend else extension.hint)(plan, run_name, folder, inputs)
        return work(folder)

    run_stage(plan, stage(plan, "train", run_name), work_on_verified_data, inputs, again)
