"""The training loop of one run: from the newest checkpoint, or from the start, to the end of the schedule.

It may end earlier: with `Stopped` after a stop signal, with `Diverged` if training diverges.
"""

import copy
import logging
import math
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import nn

from transgan.config.plan import Plan
from transgan.data.pack import open_pack
from transgan.errors import Diverged, UserError
from transgan.hardware.device import prepare_compute, set_precision
from transgan.metrics import training_fid
from transgan.models import build_discriminator, build_generator
from transgan.models.serialization import save_generator
from transgan.pipeline.freshness import embedded_metadata
from transgan.pipeline.provenance import collect, unknown_commit
from transgan.schema import RecipeConfig
from transgan.tracking.tracker import Tracker
from transgan.training.checkpoint import Checkpoints
from transgan.training.cuda_graphs import step_graphs
from transgan.training.data_loader import ImageLoader
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.dynamics import Dynamics
from transgan.training.extension import BEFORE_LAST_ROW
from transgan.training.history import History
from transgan.training.random_inputs import RandomInputs
from transgan.training.signals import StopRequest, stop_request
from transgan.training.snapshot_fid import small_fid
from transgan.training.step import Trainer
from transgan.utils import files
from transgan.utils.console import Progress, progress
from transgan.utils.exit_codes import Stopped
from transgan.utils.image_grid import save_grid
from transgan.utils.random import RandomStreams

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
TRACKING = "tracking.json"  # in the state folder: the id of the run in MLflow
# After this long a run is logged to MLflow while it trains. MLflow takes seconds to import and to open, a tenth of the
# demo if each of its short runs did so; the stage `cells` logs these together.
LIVE_SECONDS = 120.0


class TrainingLoop:
    """One process's part in training a run. `folder` is the run's state folder; the main process alone writes to it."""

    def __init__(
        self,
        plan: Plan,
        run_name: str,
        folder: Path,
        process_group: ProcessGroup | None = None,
        poll_signal: Callable[[], int] = lambda: 0,
    ) -> None:
        """Set up the device, the networks and the data. Raises UserError if the processes cannot share the run.

        `poll_signal` is called after every step. It returns the number of a signal on which to stop, or 0; signals that
        this process receives count as well.
        """
        self.started = datetime.now(UTC)
        self.plan = plan
        self.run = run = plan.run(run_name)
        self.recipe = recipe = run.recipe
        self.folder = folder
        self.fingerprint = plan.fingerprint("train", run_name)
        device = prepare_compute(recipe.threads, plan.device)
        set_precision(recipe.precision)
        self.process_group = process_group or ProcessGroup()
        _check_processes(self.process_group, recipe, device)
        self.poll_signal = poll_signal

        # Networks and their optimizers.
        streams = RandomStreams(run.seed, device)
        generator = _initialized(streams, "generator", lambda: build_generator(run.model.generator)).to(device)
        generator.normalize_latent = recipe.normalize_latent
        discriminator = _initialized(
            streams, "discriminator", lambda: build_discriminator(run.model.discriminator, run.dataset.resolution)
        ).to(device)
        graphs = step_graphs(
            plan.params.execution.cuda_graphs,
            recipe,
            (generator, discriminator),
            run.dataset.resolution,
            self.process_group.world_size,
        )
        self.trainer = Trainer(recipe, generator, discriminator, copy.deepcopy(generator), self.process_group, graphs)

        # Real images and random inputs.
        self.pack = open_pack(plan, run.dataset_name)
        self.loader = ImageLoader(
            self.pack, run.dataset.train_splits, recipe.batch, recipe.flip, streams, self.process_group
        )
        self.random_inputs = RandomInputs(streams, recipe, self.trainer.augmentation, generator, discriminator)

        # What is recorded and saved.
        self.dynamics = Dynamics.of(recipe, generator, streams, small_fid(plan, run, device))
        self.history = History(recipe)
        self.checkpoints = Checkpoints(folder, self.fingerprint, plan.params.execution.keep_checkpoints)
        self.tracker = Tracker()
        self.tracked = False  # whether `tracker` was opened; it stays without a store where MLflow cannot be used
        self.before_last_row: list[dict[str, Any]] = []
        self.earlier_seconds = 0.0
        self.saved_step = -1
        self.saved_at = time.monotonic()

    def train(self) -> None:
        """Train to the end of the schedule and write the outputs to the state folder.

        Raises Stopped after a stop signal, Diverged if training diverges, and UserError for damaged checkpoints.
        """
        with ExitStack() as stack:
            stack.callback(self.process_group.close)
            stack.callback(self.loader.close)
            stop = stack.enter_context(stop_request())
            self._resume()
            if self.process_group.is_main:
                if reason := unknown_commit():
                    logger.warning(f"train {self.run.name}: provenance names no commit, as it is not known: {reason}")
                stack.push(self._end_tracking)
                if (self.folder / TRACKING).exists():
                    self._start_tracking()
            total = self.recipe.steps * self.recipe.batch
            bar = stack.enter_context(progress(f"train {self.run.name}", total, "images", self.trainer.images))
            self._train_steps(bar, stop)
            if self.process_group.is_main:
                self._write_outputs()

    def _train_steps(self, bar: Progress, stop: StopRequest) -> None:
        """Take all steps that are left."""
        trainer, recipe = self.trainer, self.recipe
        self._record_dynamics()
        while trainer.step < recipe.steps:
            # A discriminator step, and a generator step if one is due.
            trainer.training_step(self.loader.batch(trainer.step), self.random_inputs)
            bar.advance(recipe.batch)

            # A row of history.csv, and a snapshot for dynamics.npz.
            if self.history.due(trainer.images, trainer.step == recipe.steps):
                self._log(bar)
            self._record_dynamics()

            # All processes must act alike. They stop if any has a signal; the main process decides when to save.
            message = 2 * (stop.signum or self.poll_signal()) + self._checkpoint_due()
            signum, checkpoint_due = divmod(self.process_group.all_reduce_max(message), 2)
            if signum:
                self._save_and_stop(signum)
            if checkpoint_due:
                self._save()
        self._save()

    def _checkpoint_due(self) -> bool:
        return (
            self.process_group.is_main
            and time.monotonic() - self.saved_at > self.plan.params.execution.checkpoint_minutes * 60
        )

    def _log(self, bar: Progress) -> None:
        """Add a row to the history. Raises Diverged before a diverged state is saved."""
        trainer = self.trainer
        self.before_last_row = trainer.meter.state()
        row = self.history.add(trainer.images, trainer.step, trainer.meter.means())
        trainer.meter.clear()
        self._check_divergence(row)
        if self.process_group.is_main:
            self.tracker.log_history([{**row, **self.history.speed(self.folder, trainer.images, trainer.device)}])
            bar.note(f"d_loss {row['d_loss']:.3g}, g_loss {row.get('g_loss', math.nan):.3g}")
            if self.tracker.may_reopen or (not self.tracked and self._seconds() >= LIVE_SECONDS):
                self._start_tracking()

    def _check_divergence(self, means: dict[str, float]) -> None:
        """Raises Diverged if a mean is not finite, or if the critic gap exceeds the recipe's limit."""
        reason = next((f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)), None)
        gap = means.get("gap", 0.0)
        if reason is None and abs(gap) > self.recipe.gap_limit:
            reason = f"the critic gap {gap:.4g} exceeds recipe.gap_limit {self.recipe.gap_limit:g}"
        if reason:
            raise Diverged(
                f"train {self.run.name}: diverged before {self.trainer.images:,} images ({reason}); "
                f"the last good checkpoint stays in {self.folder}; change the recipe or the seed"
            )

    def _record_dynamics(self) -> None:
        """Record a snapshot of the moving average if one is due; write its images to the state folder and to MLflow."""
        if self.process_group.is_main and self.dynamics.due(self.trainer.images):
            images = self.dynamics.record(self.trainer.generator_ema, self.trainer.images)
            grid = self.folder / "samples.png"
            save_grid(grid, images)
            self.tracker.log_image(grid, "samples", self.trainer.images)
            if not math.isnan(self.dynamics.records[-1]["fid"]):
                self._log_fid()

    def _log_fid(self) -> None:
        """Write every FID measured so far to the state folder and to MLflow; print where the newest one stands."""
        points = self.dynamics.measured_fid
        training_fid.write(self.folder, points)
        positions = training_fid.positions(self.plan, self.run, points)
        self.tracker.log_fid(points, positions)
        if positions and positions[-1].images == points[-1][0]:
            logger.info(f"train {self.run.name}: {positions[-1]}")

    def _save(self) -> None:
        """Write a checkpoint, unless the newest one is of this step."""
        self.saved_at = time.monotonic()
        if self.trainer.step == self.saved_step:
            return
        self._check_divergence(self.trainer.meter.means())
        self.saved_step = self.trainer.step
        if self.process_group.is_main:
            state = {
                "trainer": self.trainer.state(),
                "history": self.history.rows,
                "dynamics": self.dynamics.records,
                "seconds": self._seconds(),
                # For `--extend`: a longer run may have no row here, and its next one is of these steps too.
                BEFORE_LAST_ROW: self.before_last_row if self.trainer.step == self.recipe.steps else None,
            }
            self.checkpoints.save(self.trainer.images, state)

    def _resume(self) -> None:
        """Restore the newest good checkpoint, if there is one."""
        state = self.checkpoints.load()
        if state is None:
            return
        self.trainer.restore(state["trainer"])
        self.history.rows = state["history"]
        self.dynamics.records = state["dynamics"]
        self.earlier_seconds = state["seconds"]
        self.saved_step = self.trainer.step
        if self.process_group.is_main and self.trainer.step < self.recipe.steps:
            logger.info(f"train {self.run.name}: resumes from {self.trainer.images:,} of {self.recipe.images:,} images")

    def _save_and_stop(self, signum: int) -> None:
        """Write a checkpoint and raise Stopped."""
        self._save()
        if self.process_group.is_main:
            logger.info(
                f"train {self.run.name}: received {signal.Signals(signum).name}; "
                f"saved at {self.trainer.images:,} images; run the same command to resume"
            )
            self.tracker.finish("KILLED", f"signal {signum}")
        # Wait until the main process has saved: torchrun kills the other processes as soon as one has ended.
        self.process_group.all_reduce_max(0)
        raise Stopped(signum)

    def _start_tracking(self) -> None:
        self.tracked = True
        self.tracker = self._open_tracker()

    def _end_tracking(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the entry in MLflow. A run that fails early gets one, with the reason; one that is stopped does not."""
        if not self.tracked and isinstance(error, Exception):
            self._start_tracking()
        self.tracker.__exit__(kind, error, trace)

    def _open_tracker(self) -> Tracker:
        """Open the run's entry in MLflow, after an interruption the same one, and send the rows that it lacks."""
        marker = self.folder / TRACKING
        known = _tracked_run(marker)
        began = self.started.isoformat(timespec="seconds")  # as in provenance.json
        tracker = Tracker.open(self.plan, self.run, self.fingerprint, self.pack.sha256, known, self.tracker, began)
        if tracker.run_id is not None and tracker.run_id != known:
            try:
                files.write_json(marker, {"run_id": tracker.run_id})
            except UserError as error:
                logger.warning(f"{error}; until then, each continuation starts a new entry in MLflow")
        if self.history.rows:
            tracker.log_history(self.history.rows)
        if known is None:  # snapshots from before the entry existed
            for record in self.dynamics.records:
                save_grid(self.folder / "samples.png", record["pictures"].numpy())
                tracker.log_image(self.folder / "samples.png", "samples", record["images"])
        points = self.dynamics.measured_fid
        tracker.log_fid(points, training_fid.positions(self.plan, self.run, points))
        return tracker

    def _seconds(self) -> float:
        """Seconds of training so far, including earlier processes of the run."""
        return self.earlier_seconds + (datetime.now(UTC) - self.started).total_seconds()

    def _write_outputs(self) -> None:
        trainer, run, folder = self.trainer, self.run, self.folder
        identity: dict[str, Any] = {
            "run": run.name,
            "fingerprint": self.fingerprint,
            "images": trainer.images,
            "seed": run.seed,
        }
        how_used = {"normalize_latent": True} if run.recipe.normalize_latent else {}
        save_generator(
            folder / "generator.safetensors", trainer.generator_ema, run.model.generator, {**identity, **how_used}
        )
        parameters = {"generator": _size(trainer.generator), "discriminator": _size(trainer.discriminator)}
        files.write_json(
            folder / "run.json",
            {
                **identity,
                "data": self.pack.sha256,
                "dataset": run.dataset_name,
                "full_images": run.full_images,
                "steps": trainer.step,
                "parameters": parameters,
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
        of_the_result = {"training": speed, "run_json_sha256": files.sha256(folder / "run.json")}
        files.write_json(folder / "provenance.json", collect(self.started, self.tracker.run_id, of_the_result))
        self.tracker.log_image(folder / "samples.png", "samples.png")


def _tracked_run(marker: Path) -> str | None:
    """The id of the run's entry in MLflow; None where it has none, or where the file does not say which."""
    run_id = embedded_metadata(marker).get("run_id")
    if isinstance(run_id, str):
        return run_id
    if marker.exists():
        logger.warning(f"{marker}: damaged; training continues with a new entry in MLflow")
    return None


def _check_processes(process_group: ProcessGroup, recipe: RecipeConfig, device: torch.device) -> None:
    """Raises UserError, in every process, if a batch does not divide among the processes or two of them share a GPU."""
    count = process_group.world_size
    for key, batch in (("batch", recipe.batch), ("generator_batch", recipe.generator_batch)):
        if batch % count:
            raise UserError(
                f"recipe.{key}: {batch} does not divide among {count} processes; start another number of them"
            )
    if device.type == "cuda":
        gpus = process_group.all_gather_object(str(torch.cuda.get_device_properties(device).uuid))
        if len(set(gpus)) < count:
            raise UserError(
                f"the {count} processes of this run would share {len(set(gpus))} GPUs, because other runs use the "
                f"rest; wait until those end"
            )


def _initialized(streams: RandomStreams, name: str, build: Callable[[], Network]) -> Network:
    """A new network whose initial weights follow from the seed, on every device alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RandomStreams(streams.seed).generator(f"init/{name}", 0).initial_seed())
        return build()


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
