"""`transgan plan --calibrate`: measures how fast this device trains, in about a minute.

It times real training steps of the scale's first run, and matrix products. The result is stored by device in
state/<scale>/calibration.json; no other result depends on it. Images are random numbers on the device: nothing has to
be fetched, and in training the loader works while the device computes.
"""

import copy
import logging
import math
import statistics
import time
from collections.abc import Callable

import torch

from transgan.config.plan import Plan, Run
from transgan.cost.budget import calibration_file
from transgan.hardware.device import prepare_compute, set_precision
from transgan.hardware.info import device_name
from transgan.models import build_discriminator, build_generator
from transgan.pipeline.freshness import embedded_metadata
from transgan.schema import RecipeConfig
from transgan.schema.recipe import Precision
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.utils import files
from transgan.utils.random import RandomStreams

logger = logging.getLogger(__name__)

SECONDS = 40.0  # of training steps, after the first iteration as a warm-up
ROUNDS = 50
# On a CPU the batch is reduced until an iteration (n_critic discriminator steps and a generator step) has about this
# many operations.
CPU_ITERATION_FLOP = 1.2e12
PRODUCT_SIDE, PRODUCT_ROUNDS = 2048, 5


def calibrate(plan: Plan, run: Run, gflop_per_image: float) -> None:
    """Measure this device on training steps of `run` and store the result.

    `gflop_per_image` is the run's cost per real image, as counted.
    """
    device = prepare_compute(run.recipe.threads, plan.device)
    set_precision(run.recipe.precision)
    recipe = _reduced(run.recipe, gflop_per_image, device)
    logger.info(f"calibrating on training steps of {run.name} ({run.recipe.precision}), about a minute ...")
    while True:
        try:
            seconds = _iteration_seconds(run, recipe, device)
            break
        except torch.OutOfMemoryError:
            if recipe.batch == 1:
                raise
            recipe = with_batch(recipe, recipe.batch // 2)
    training = recipe.batch * recipe.n_critic * gflop_per_image * 1e9 / seconds
    products = {
        precision: _product_flops(precision, device)
        for precision in sorted({other.recipe.precision for other in plan.runs.values()})
    }
    calibration = {
        "run": run.name,
        "precision": recipe.precision,
        "batch": recipe.batch,
        "threads": recipe.threads,
        "cpu": device.type == "cpu",
        "training_tflops": training / 1e12,
        "product_tflops": {precision: rate / 1e12 for precision, rate in products.items()},
        "share": training / products[recipe.precision],
    }
    path = calibration_file(plan)
    files.write_json(path, {**embedded_metadata(path), device_name(cpu=device.type == "cpu"): calibration})


def _reduced(recipe: RecipeConfig, gflop_per_image: float, device: torch.device) -> RecipeConfig:
    """The recipe for one device; on a CPU with a smaller batch to keep the calibration short."""
    batch = recipe.batch // recipe.devices
    if device.type == "cpu":
        batch = min(batch, max(1, int(CPU_ITERATION_FLOP / (gflop_per_image * 1e9 * recipe.n_critic))))
    return with_batch(recipe, batch)


def with_batch(recipe: RecipeConfig, batch: int) -> RecipeConfig:
    """The recipe on one device with another batch, and generator_batch and batch_group to match; not compiled."""
    generated = max(1, batch * recipe.generator_batch // recipe.batch)
    group = math.gcd(recipe.batch_group, batch, generated)
    return recipe.model_copy(
        update={"batch": batch, "generator_batch": generated, "batch_group": group, "devices": 1, "compile": False}
    )


def _iteration_seconds(run: Run, recipe: RecipeConfig, device: torch.device) -> float:
    """Median seconds of n_critic discriminator steps and a generator step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = build_generator(run.model.generator).to(device)
        discriminator = build_discriminator(run.model.discriminator, run.dataset.resolution).to(device)
    trainer = Trainer(recipe, generator, discriminator, copy.deepcopy(generator), ProcessGroup())
    streams = RandomStreams(0, device)
    random_inputs = RandomInputs(streams, recipe, trainer.augmentation, generator, discriminator)
    real = streams.uniform("real", 0, recipe.batch, 3, run.dataset.resolution, run.dataset.resolution) * 2 - 1

    def iteration() -> None:
        for _ in range(recipe.n_critic):
            trainer.training_step(real, random_inputs)

    elapsed_seconds(iteration, device)
    measured: list[float] = []
    while sum(measured) < SECONDS and len(measured) < ROUNDS:
        measured.append(elapsed_seconds(iteration, device))
    return statistics.median(measured)


def _product_flops(precision: Precision, device: torch.device) -> float:
    """Operations a second of matrix products at a precision."""
    set_precision(precision)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left, right = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE, device=device, dtype=dtype) for _ in range(2))
    repeats = 20 if device.type == "cuda" else 1

    def products() -> None:
        for _ in range(repeats):
            left @ right

    elapsed_seconds(products, device)
    seconds = statistics.median(elapsed_seconds(products, device) for _ in range(PRODUCT_ROUNDS)) / repeats
    return float(2 * PRODUCT_SIDE**3 / seconds)


def elapsed_seconds(work: Callable[[], None], device: torch.device) -> float:
    """Seconds that `work` takes on the device, until it has finished there."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
