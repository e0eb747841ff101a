"""Step: a run of the CIFAR-10 pair on the packed images for as long as the time allows, at the fastest setting."""

import logging
import os
import shutil
import signal
import statistics
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu import project
from gpu.results import read_json
from gpu.step import Step, main
from gpu.timing import device_of
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.metrics import generator_files
from transgan.metrics.samples import to_numpy, uint8_samples
from transgan.models import build_generator
from transgan.models.serialization import save_generator
from transgan.training.checkpoint import Checkpoints
from transgan.training.history import SPEED, History
from transgan.training.train import train
from transgan.utils.console import configure_logging
from transgan.utils.exit_codes import Stopped

START_SECONDS = 12.0  # until the first step, without compiling
END_SECONDS = 20.0  # for a checkpoint, the outputs and the samples
USED_SHARE = 0.9  # of the rate that was measured: the loop also reads images and records
ROWS = 40  # of history.csv
SAMPLES, DRY_SAMPLES = 4096, 16
UNKNOWN_RATE = 300.0  # images per second where none was measured
DRY_IMAGES = 320


@dataclass(frozen=True)
class Setting:
    """A precision and mode of training, its images per second, and the seconds that it takes to compile."""

    precision: str
    compile: bool
    rate: float
    compile_seconds: float = 0.0

    def images(self, seconds: float) -> float:
        """Real images that this setting trains on in so many seconds."""
        return USED_SHARE * self.rate * max(0.0, seconds - self.compile_seconds)


def run(step: Step) -> None:
    """Train, stop in time, and write history.csv, samples.png and samples.npz to the output folder."""
    configure_logging()
    assert step.packed is not None
    count = read_json(step.packed / "packed.json")["images"]
    seconds = step.left - START_SECONDS - END_SECONDS
    setting = max(measured_settings(step), key=lambda setting: setting.images(seconds))
    images = DRY_IMAGES if step.dry_run else int(setting.images(seconds))
    step.record(setting=vars(setting), images=images)
    changes = {
        "images": max(images, 1),
        "precision": setting.precision,
        "compile": setting.compile,
        "log_images": max(images // ROWS, 1),
        "dynamics": {"points": 4, "first": max(images // 8, 1)},
        "threads": 1 if step.dry_run else 8,
    }
    project.write_params(step.work, count, step.device, step.dry_run, changes)
    os.chdir(project.folder(step.work))
    plan = plans.load(scale=project.SCALE)
    # The loop saves and stops after a step when it receives this signal: a rate that was too high costs nothing.
    timer = threading.Timer(max(0.0, step.left - END_SECONDS), os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        train(plan, project.RUN)
        step.record(stopped=False)
    except Stopped:
        step.record(stopped=True)
    timer.cancel()
    collect(step, plan)


def measured_settings(step: Step) -> list[Setting]:
    """The settings whose rates earlier steps have measured; one with a careful guess if there are none."""
    settings = []
    for precision, part in step.earlier("eager_step").get("parts", {}).items():
        if "images_per_second" in part["results"]:
            settings.append(Setting(precision, False, part["results"]["images_per_second"]))
    compiled = step.earlier("compiled_step").get("parts", {}).get("compiled", {}).get("results", {})
    if "images_per_second" in compiled and not step.dry_run:  # compiling takes minutes
        settings.append(Setting("bfloat16", True, compiled["images_per_second"], compiled["compile_seconds"]))
    return settings or [Setting("bfloat16", False, UNKNOWN_RATE)]


def collect(step: Step, plan: Plan) -> None:
    """Record the run's curve and rate, save its samples, and leave its generator for the step `scoring`."""
    run = plan.run(project.RUN)
    fingerprint = plan.fingerprint("train", project.RUN)
    state_folder = plan.paths.workspace("train", project.RUN, fingerprint)
    history, generator = (
        plan.paths.run(project.RUN) / "history.csv",
        plan.paths.run(project.RUN) / "generator.safetensors",
    )
    if step.recorded["stopped"]:
        history, generator = state_folder / "history.csv", state_folder / "stopped.safetensors"
        state = Checkpoints(state_folder, fingerprint, 1).load()
        assert state is not None
        average = build_generator(run.model.generator)
        average.load_state_dict(state["trainer"]["average"])
        save_generator(generator, average, run.model.generator, {"images": state["trainer"]["step"] * run.recipe.batch})
        rows = History(run.recipe)
        rows.rows = state["history"]
        rows.save(history)
    shutil.copy(history, step.out / "history.csv")
    shutil.copy(state_folder / "samples.png", step.out / "samples.png")
    curve = np.atleast_1d(np.genfromtxt(history, delimiter=",", names=True))
    columns = ("images", "d_loss", "g_loss", "gap", "gradient_penalty")
    step.record(
        generator=str(generator.resolve()),
        trained_images=int(curve["images"][-1]),
        curve={name: [float(f"{value:.5g}") for value in curve[name]] for name in columns},
    )
    rates = loop_rates(state_folder / SPEED)
    if rates:
        # The first rows of a compiled run include compiling.
        step.record(images_per_second=statistics.median(rates[len(rates) // 2 :]))
    step.record(
        summary=f"{step.recorded['trained_images']:,} images at {step.recorded.get('images_per_second', 0):,.0f}/s,"
        f" {step.recorded['setting']['precision']}{', compiled' if step.recorded['setting']['compile'] else ''}"
        f"{', stopped by the clock' if step.recorded['stopped'] else ''}"
    )
    save_samples(step, generator)


def loop_rates(path: Path) -> list[float]:
    """Images per second between rows of the history, from speed.csv."""
    return [float(line.split(",")[1]) for line in path.read_text().splitlines()] if path.exists() else []


def save_samples(step: Step, generator: Path) -> None:
    """Write samples of a generator to samples.npz, which fits the limit on a file that comes back."""
    device, count = device_of(step.device), DRY_SAMPLES if step.dry_run else SAMPLES
    network: Any = generator_files.load(generator)
    with torch.inference_mode():
        images = [to_numpy(batch) for batch in uint8_samples(network, 0, count, 256, "round", device)]
    np.savez(step.out / "samples.npz", images=np.concatenate(images))


if __name__ == "__main__":
    logging.captureWarnings(True)
    main(run)
