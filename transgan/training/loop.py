"""A training session: from the newest checkpoint, or from the start, to the end of the run, an interruption, or divergence."""

import copy
import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from transgan.config.plan import Plan
from transgan.data.pack import Pack
from transgan.errors import Diverged, UserError
from transgan.hardware.device import prepare_compute, set_precision
from transgan.models import build_discriminator, build_generator
from transgan.models.serialization import save_generator
from transgan.pipeline.provenance import collect
from transgan.schema import RecipeConfig
from transgan.tracking.tracker import Tracker
from transgan.training.checkpoint import Checkpoints
from transgan.training.data_loader import ImageLoader
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.dynamics import Dynamics
from transgan.training.history import History
from transgan.training.random_inputs import RandomInputs
from transgan.training.signals import Stopped, StopRequest, stop_request
from transgan.training.snapshot_fid import small_fid
from transgan.training.step import Trainer
from transgan.utils import files
from transgan.utils.console import Progress, progress
from transgan.utils.image_grid import save_grid
from transgan.utils.random import RandomStreams

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
TRACKING = "tracking.json"


class TrainingLoop:
    """Everything one process needs to train a run in its state folder."""

    def __init__(
        self,
        plan: Plan,
        run_name: str,
        folder: Path,
        process_group: ProcessGroup | None = None,
        told_to_stop: Callable[[], int] = lambda: 0,
    ) -> None:
        """`told_to_stop` is asked after every step for the number of a signal, besides those that this process gets itself; 0: go on."""
        self.started = datetime.now(UTC)
        self.plan = plan
        self.run_config = run = plan.run(run_name)
        self.recipe = recipe = run.recipe
        self.folder = folder
        self.fingerprint = plan.fingerprint("train", run_name)
        device = prepare_compute(recipe.threads, plan.params.execution.device)
        set_precision(recipe.precision)
        self.process_group = process_group or ProcessGroup()
        _check_processes(self.process_group, recipe, device)
        self.told_to_stop = told_to_stop
        self.pack = Pack.open(plan.paths.data(run.dataset_name))
        streams = RandomStreams(run.seed, device)
        generator = _built(streams, "generator", lambda: build_generator(run.model.generator)).to(device)
        discriminator = _built(
            streams, "discriminator", lambda: build_discriminator(run.model.discriminator, run.dataset.resolution)
        ).to(device)
        self.trainer = Trainer(recipe, generator, discriminator, copy.deepcopy(generator), self.process_group)
        self.random_inputs = RandomInputs(streams, recipe, self.trainer.augmentation, generator, discriminator)
        self.loader = ImageLoader(
            self.pack, run.dataset.train_splits, recipe.batch, recipe.flip, streams, self.process_group
        )
        self.dynamics = Dynamics.of(recipe, generator, streams, small_fid(plan, run))
        self.history = History(recipe)
        self.checkpoints = Checkpoints(folder, self.fingerprint, plan.params.execution.keep_checkpoints)
        self.tracker = Tracker()
        self.saved_step = -1
        self.saved_at = time.monotonic()

    def run(self) -> None:
        """Train to the end and write the outputs into the folder."""
        with ExitStack() as stack:
            stack.callback(self.process_group.close)
            stack.callback(self.loader.close)
            stop = stack.enter_context(stop_request())
            self._resume()
            if self.process_group.is_main:
                self.tracker = stack.enter_context(self._open_tracker())
            total = self.recipe.steps * self.recipe.batch
            bar = stack.enter_context(progress(f"train {self.run_config.name}", total, "images", self.trainer.images))
            self._train(bar, stop)
            if self.process_group.is_main:
                self._write_outputs()

    def _train(self, bar: Progress, stop: StopRequest) -> None:
        """Step after step; whatever is due in between."""
        trainer, recipe = self.trainer, self.recipe
        self._record_dynamics()
        while trainer.step < recipe.steps:
            trainer.training_step(self.loader.batch(trainer.step), self.random_inputs)
            bar.advance(recipe.batch)
            if self.history.due(trainer.images, trainer.step == recipe.steps):
                self._log(bar)
            self._record_dynamics()
            # All processes do the same at the same step: what any was told, else what the main one's clock says.
            signum, due = divmod(
                self.process_group.all_reduce_max(2 * (stop.signum or self.told_to_stop()) + self._checkpoint_due()), 2
            )
            if signum:
                self._leave(signum)
            if due:
                self._save()
        self._save()

    def _checkpoint_due(self) -> bool:
        return (
            self.process_group.is_main
            and time.monotonic() - self.saved_at > self.plan.params.execution.checkpoint_minutes * 60
        )

    def _log(self, bar: Progress) -> None:
        """Add a row to the history, and stop a run that went wild before anything of it is saved."""
        row = self.history.add(self.trainer.images, self.trainer.step, self.trainer.meter.means())
        self.trainer.meter.clear()
        self._check(row)
        if self.process_group.is_main:
            self.tracker.log([{**row, **self.history.speed(self.folder, self.trainer.images, self.trainer.device)}])
            bar.note(f"d_loss {row['d_loss']:.3g}, g_loss {row.get('g_loss', math.nan):.3g}")

    def _check(self, measured: dict[str, float]) -> None:
        """Raise Diverged for a value that is not finite or a critic gap beyond the recipe's limit."""
        wild = next((f"{name} is {value}" for name, value in measured.items() if not math.isfinite(value)), None)
        gap = measured.get("gap", 0.0)
        if wild is None and abs(gap) > self.recipe.gap_limit:
            wild = f"the critic gap {gap:.4g} is beyond recipe.gap_limit {self.recipe.gap_limit:g}"
        if wild:
            raise Diverged(
                f"train {self.run_config.name}: diverged before {self.trainer.images:,} images ({wild}); "
                f"the last good checkpoint stays in {self.folder}; change the recipe or the seed"
            )

    def _record_dynamics(self) -> None:
        if self.process_group.is_main and self.dynamics.due(self.trainer.images):
            made = self.dynamics.record(self.trainer.generator_ema, self.trainer.images)
            grid = self.folder / "samples.png"
            save_grid(grid, made)
            self.tracker.picture(grid, "samples", self.trainer.images)

    def _save(self) -> None:
        """Write a checkpoint unless the newest one is of this very step."""
        self.saved_at = time.monotonic()
        if self.trainer.step == self.saved_step:
            return
        self._check(self.trainer.meter.means())
        self.saved_step = self.trainer.step
        if self.process_group.is_main:
            state = {
                "trainer": self.trainer.state(),
                "history": self.history.rows,
                "dynamics": self.dynamics.records,
                "seconds": self._seconds(),
            }
            self.checkpoints.save(self.trainer.images, state)

    def _resume(self) -> None:
        """Take up the newest good checkpoint, if there is one."""
        self.earlier_seconds = 0.0
        state = self.checkpoints.load()
        if state is None:
            return
        self.trainer.restore(state["trainer"])
        self.history.rows = state["history"]
        self.dynamics.records = state["dynamics"]
        self.earlier_seconds = state["seconds"]
        self.saved_step = self.trainer.step
        if self.process_group.is_main and self.trainer.step < self.recipe.steps:
            logger.info(
                f"train {self.run_config.name}: goes on from {self.trainer.images:,} of {self.recipe.images:,} images"
            )

    def _leave(self, signum: int) -> None:
        self._save()
        if self.process_group.is_main:
            logger.info(
                f"train {self.run_config.name}: told to stop; saved at {self.trainer.images:,} images; the same command goes on from there"
            )
            self.tracker.finish("KILLED", f"signal {signum}")
        self.process_group.all_reduce_max(
            0
        )  # wait for the main one: torchrun kills the others of a process that has left
        raise Stopped(signum)

    def _open_tracker(self) -> Tracker:
        """The MLflow run that an earlier session began, or a new one; what its curve misses is sent again."""
        marker = self.folder / TRACKING
        known = files.read_json(marker)["run_id"] if marker.exists() else None
        tracker = Tracker.open(self.plan, self.run_config, self.fingerprint, self.pack.sha256, known)
        if tracker.run_id is not None and tracker.run_id != known:
            files.write_json(marker, {"run_id": tracker.run_id})
        if self.history.rows:
            tracker.log(self.history.rows)
        return tracker

    def _seconds(self) -> float:
        return self.earlier_seconds + (datetime.now(UTC) - self.started).total_seconds()

    def _write_outputs(self) -> None:
        trainer, run, folder = self.trainer, self.run_config, self.folder
        identity: dict[str, Any] = {
            "run": run.name,
            "fingerprint": self.fingerprint,
            "images": trainer.images,
            "seed": run.seed,
        }
        save_generator(folder / "generator.safetensors", trainer.generator_ema, run.model.generator, identity)
        files.write_json(
            folder / "run.json",
            {
                **identity,
                "data": self.pack.sha256,
                "dataset": run.dataset_name,
                "full_images": run.full_images,
                "steps": trainer.step,
                "parameters": {"generator": _size(trainer.generator), "discriminator": _size(trainer.discriminator)},
                "last": self.history.rows[-1],
            },
        )
        self.history.save(folder / "history.csv")
        self.dynamics.save(folder / "dynamics.npz", trainer.generator_ema)
        save_grid(folder / "samples.png", self.dynamics.records[-1]["pictures"].numpy())
        speed = {
            "training_seconds": round(self._seconds(), 1),
            "images_per_second": round(trainer.images / max(self._seconds(), 1e-9), 1),
        }
        files.write_json(folder / "provenance.json", collect(self.started, self.tracker.run_id, {"training": speed}))
        self.tracker.picture(folder / "samples.png", "samples.png")


def _check_processes(process_group: ProcessGroup, recipe: RecipeConfig, device: torch.device) -> None:
    """Raises UserError, in all processes, where they cannot share the batches or two were given one GPU."""
    for key, batch in (("batch", recipe.batch), ("generator_batch", recipe.generator_batch)):
        if batch % process_group.world_size:
            raise UserError(
                f"recipe.{key}: {batch} does not divide among {process_group.world_size} processes; start another number of them"
            )
    if device.type == "cuda":
        taken = process_group.all_gather_object(str(torch.cuda.get_device_properties(device).uuid))
        if len(set(taken)) < len(taken):
            raise UserError(
                f"{len(taken)} processes of this run share {len(set(taken))} GPUs, as other runs have the rest; wait for those to end"
            )


def _built(streams: RandomStreams, name: str, build: Callable[[], Network]) -> Network:
    """A freshly initialised net whose weights follow from the seed, the same on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RandomStreams(streams.seed).generator(f"init/{name}", 0).initial_seed())
        return build()


def _size(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())
