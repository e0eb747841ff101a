"""A rehearsal of one run: a few training steps at its real size on this device, then each later stage on a few images.

It finds in minutes what would otherwise end a run after days: memory that does not suffice, a kernel that the device
lacks, a step of the pipeline that fails at this size. `transgan rehearse` runs this module in a process per run,
because a GPU is unusable in a process after some errors, and the system kills a process that takes too much memory.

Images are random numbers. Each stage's own code works on them; nothing is written except the measurement.
"""

import copy
import gc
import logging
import math
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

import torch

from transgan.config import plan as plans
from transgan.config.plan import Plan, Run
from transgan.cost.calibrate import elapsed_seconds, with_batch
from transgan.cost.rehearsal_file import DOES_NOT_FIT, FITS, SHAPES, Rehearsal, key
from transgan.errors import UserError
from transgan.hardware.device import float32_precision, prepare_compute, set_precision
from transgan.models import GeneratorNetwork, build_discriminator, build_generator
from transgan.schema import RecipeConfig
from transgan.training.cuda_graphs import CALLS_TO_RECORD, step_graphs
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.utils import files
from transgan.utils.console import configure_logging
from transgan.utils.exit_codes import Interrupted, Stopped, one_line_exit
from transgan.utils.random import RandomStreams
from transgan.utils.secrets import mask_streams
from transgan.utils.units import GIB

logger = logging.getLogger(__name__)

Where = Literal["auto", "cpu", "cuda"]
SECONDS, ROUNDS = 10.0, 5  # at most, of timed cycles of training steps after a first one
IMAGES = 32  # of the later stages; on a CPU fewer
IMAGES_CPU = 4
OUT_OF_MEMORY = "out of memory"


def rehearse(plan: Plan, run: Run, where: Where, folder: Path | None = None) -> Rehearsal:
    """Rehearse a run on this machine's device. Temporary files are in `folder` (default: the system's).

    On a GPU the batch is a device's share of the recipe's, and larger and smaller micro-batches are tried, too. On a
    CPU the batch is the smallest possible one, which shows only that the shapes fit together. Raises UserError when the
    recipe cannot be divided, or `where` is "cuda" and there is no GPU.
    """
    device = prepare_compute(run.recipe.threads, where)
    set_precision(run.recipe.precision)
    group = build_group(run)
    recipe = _on_one_device(run.recipe, group, device)
    micro_batch = _pass_size(recipe)
    trial = _Trial(run, recipe, device, folder, plan.params.execution.cuda_graphs)
    error = trial.measure(timed=device.type == "cuda")
    largest = None
    if device.type == "cuda" and (error is None or error.startswith(OUT_OF_MEMORY)):
        largest = _largest_micro_batch(run, recipe, device, group, micro_batch if error is None else None)
    stages = later_stages(plan, run, trial.generator(), device, folder)
    fits = FITS if device.type == "cuda" else SHAPES
    return Rehearsal(
        key=key(run),
        batch=recipe.batch,
        result=DOES_NOT_FIT if error else fits,
        micro_batch=micro_batch,
        largest_micro_batch=largest,
        peak_gib=None if error else trial.peak / GIB,
        seconds_per_image=None if math.isnan(trial.seconds) else trial.seconds / recipe.batch,
        error=error,
        stages=stages,
    )


def build_group(run: Run) -> int:
    """The number of images that the run's discriminator takes together (1: each on its own)."""
    with torch.device("meta"):
        return build_discriminator(run.model.discriminator, run.dataset.resolution).group


class _Trial:
    """Training steps of a recipe on random images, by default without CUDA graphs."""

    def __init__(
        self,
        run: Run,
        recipe: RecipeConfig,
        device: torch.device,
        folder: Path | None = None,
        graphs: bool | Literal["auto"] = False,
    ) -> None:
        self.run, self.recipe, self.device, self.folder, self.graphs = run, recipe, device, folder, graphs
        self.peak = 0  # bytes
        self.seconds = math.nan  # of a discriminator step, with its share of generator steps
        self._generator: GeneratorNetwork | None = None

    def measure(self, timed: bool) -> str | None:
        """Take the steps; returns what failed, or None. Frees all memory of the device afterwards."""
        _free(self.device)
        error = None
        try:
            self._steps(timed)
        except torch.OutOfMemoryError as problem:
            error = f"{OUT_OF_MEMORY}: {_line(problem)}"
        except UserError:
            raise
        except Exception as problem:  # whatever a kernel, a compiler or a driver raises is what a rehearsal is for
            error = f"{type(problem).__name__}: {_line(problem)}"
        _free(self.device)  # only here: until the exception is gone, it holds the tensors of the step
        return error

    def generator(self) -> GeneratorNetwork:
        """The trained moving average; an untrained generator if the steps failed."""
        if self._generator is None:
            self._generator = build_generator(self.run.model.generator).requires_grad_(False)
        return self._generator

    def _steps(self, timed: bool) -> None:
        recipe, device, resolution = self.recipe, self.device, self.run.dataset.resolution
        generator = build_generator(self.run.model.generator).to(device)
        generator.normalize_latent = recipe.normalize_latent
        discriminator = build_discriminator(self.run.model.discriminator, resolution).to(device)
        graphs = step_graphs(self.graphs, recipe, (generator, discriminator), resolution, devices=1)
        trainer = Trainer(recipe, generator, discriminator, copy.deepcopy(generator), ProcessGroup(), graphs)
        streams = RandomStreams(0, device)
        random_inputs = RandomInputs(streams, recipe, trainer.augmentation, generator, discriminator)
        real = streams.uniform("real", 0, recipe.batch, 3, resolution, resolution) * 2 - 1
        # The regularizers are due every few steps. After this many steps every one has had its share.
        cycle = math.lcm(
            recipe.n_critic,
            *(
                term.interval * (recipe.n_critic if term.net == "generator" else 1)
                for term in recipe.regularizers.values()
            ),
        )

        def steps(count: int) -> None:
            for _ in range(count):
                trainer.training_step(real, random_inputs)

        # Every regularizer is due at step 0, so this is the step that needs most memory. Later ones only take time, but
        # for graphs, which are recorded and checked in the second and the third cycle.
        steps(1 if not timed else cycle if graphs is None else CALLS_TO_RECORD * cycle)
        if timed:
            rounds: list[float] = []
            while sum(rounds) < SECONDS and len(rounds) < ROUNDS:
                rounds.append(elapsed_seconds(lambda: steps(cycle), device))
            self.seconds = statistics.median(rounds) / cycle
        self.peak = _peak(device)
        _round_trip(trainer, self.folder)
        self._generator = copy.deepcopy(trainer.generator_ema).cpu()


def _round_trip(trainer: Trainer, folder: Path | None) -> None:
    """Write a checkpoint of this size, and read it again."""
    from transgan.training.checkpoint import Checkpoints

    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        checkpoints = Checkpoints(Path(temporary), "rehearsal", 1)
        checkpoints.save(0, {"trainer": trainer.state()})
        state = checkpoints.load()
        assert state is not None
        trainer.restore(state["trainer"])


def later_stages(
    plan: Plan, run: Run, generator: GeneratorNetwork, device: torch.device, folder: Path | None
) -> dict[str, str]:
    """Each later step on a few images: "ok", "failed: ..." or "not tried: ..." with the reason."""
    images = IMAGES if device.type == "cuda" else IMAGES_CPU
    steps: dict[str, Callable[[], None]] = {
        "snapshot": lambda: _snapshot(run, generator.to(device), images, device, folder),
        "score": lambda: _score(plan, run, generator, images, device),
    }
    return {name: _attempt(step, device) for name, step in steps.items()}


def _attempt(step: Callable[[], None], device: torch.device) -> str:
    try:
        step()
        return "ok"
    except UserError as error:  # such as weights that are not on this machine
        return f"not tried: {_line(error)}"
    except Exception as error:  # see _Trial.measure
        return f"failed: {type(error).__name__}: {_line(error)}"
    finally:
        _free(device)


def _snapshot(run: Run, generator: GeneratorNetwork, images: int, device: torch.device, folder: Path | None) -> None:
    """A snapshot for dynamics.npz, and the generator's file."""
    from transgan.metrics import generator_files
    from transgan.models.serialization import save_generator
    from transgan.training.dynamics import Dynamics

    recipe = run.recipe.model_copy(
        update={"dynamics": run.recipe.dynamics.model_copy(update={"latents": images, "fid_samples": 0})}
    )
    dynamics = Dynamics.of(recipe, generator, RandomStreams(0, device))
    dynamics.record(generator, 0)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        dynamics.save(Path(temporary) / "dynamics.npz", generator)
        file = Path(temporary) / "generator.safetensors"
        save_generator(file, generator, run.model.generator, {"run": run.name})
        generator_files.load(file)


def _score(plan: Plan, run: Run, generator: GeneratorNetwork, images: int, device: torch.device) -> None:
    """All metrics of the run's protocol, of a few of its samples against themselves."""
    from transgan.metrics import evaluator, extractors, weights
    from transgan.metrics.reference_statistics import reference_of_features

    few = {"samples": images, "allow_few_samples": True, "fid_counts": (), "kid_subset_size": 2, "is_splits": 1}
    protocol = run.protocol.model_copy(update={**few, "seeds": run.protocol.seeds[:1]})
    weights_file, _ = weights.locate(plan, protocol)
    with float32_precision():
        extractor = extractors.build(protocol, weights_file, evaluator.required_layers(protocol), device)
        source = evaluator.generator_sources(generator, protocol)[0]
        features = extractors.extract(extractor, source.batches(device), images, f"rehearse {run.name}")
        reference = reference_of_features(features[protocol.feature_layer], protocol)
        evaluator.compute_metrics(protocol, features, reference)


def _on_one_device(recipe: RecipeConfig, group: int, device: torch.device) -> RecipeConfig:
    """The recipe for one device: with its share of the batch on a GPU, with the smallest batch on a CPU."""
    shares = _divisors(recipe.batch // recipe.devices)
    for batch in shares[-1:] if device.type == "cuda" else shares:
        reduced = with_batch(recipe, batch).model_copy(update={"compile": recipe.compile})
        if _allowed(reduced, group):
            return reduced
    raise UserError(f"recipe: a device's share of batch {recipe.batch} is not a multiple of {group} images")


def _largest_micro_batch(
    run: Run, recipe: RecipeConfig, device: torch.device, group: int, fits: int | None
) -> int | None:
    """The most images in one forward pass that fit, by trial: upwards from `fits`, or downwards if nothing did yet."""
    whole = max(recipe.batch, recipe.generator_batch)
    sizes = [size for size in _divisors(whole) if _allowed(recipe.model_copy(update={"micro_batch": size}), group)]

    def possible(size: int) -> bool:
        # Not compiled, which would take minutes for every size and needs no more memory.
        trial = _Trial(run, recipe.model_copy(update={"micro_batch": size, "compile": False}), device)
        return trial.measure(timed=False) is None

    if fits is None:
        return next((size for size in reversed(sizes) if size < _pass_size(recipe) and possible(size)), None)
    for size in sizes:
        if size > fits:
            if not possible(size):
                break
            fits = size
    return fits


def _allowed(recipe: RecipeConfig, group: int) -> bool:
    """Whether the recipe is a valid one, and its passes consist of whole groups of the discriminator's."""
    try:
        RecipeConfig.model_validate(recipe.model_dump())
    except ValueError:
        return False
    return all(_pass_size(recipe, batch) % group == 0 for batch in (recipe.batch, recipe.generator_batch))


def _pass_size(recipe: RecipeConfig, batch: int | None = None) -> int:
    """Images in the largest forward pass, or in one of `batch`."""
    images = batch or max(recipe.batch, recipe.generator_batch)
    return min(images, recipe.micro_batch or images)


def _divisors(number: int) -> list[int]:
    """The divisors of a number, smallest first."""
    return [size for size in range(1, number + 1) if number % size == 0]


def _peak(device: torch.device) -> int:
    """The most memory that was in use since `_free`: reserved on a GPU, resident in this process on a CPU. In bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _line(error: BaseException) -> str:
    """The first line of an error's text, of at most 200 characters."""
    return next(iter(str(error).strip().splitlines()), "no message")[:200]


def main(arguments: list[str]) -> None:
    """PARAMS SCALE RUN WHERE FILE: rehearse a run and write the measurement to FILE, as JSON.

    Temporary files are in FILE's folder. Who has created that removes it even if this process is killed.
    """
    params, scale, name, where, file = arguments
    configure_logging()
    plan = plans.load(Path(params), scale)
    chosen: Where = next(choice for choice in get_args(Where) if choice == where)
    files.write_json(Path(file), asdict(rehearse(plan, plan.run(name), chosen, Path(file).parent)))


if __name__ == "__main__":
    mask_streams()
    with one_line_exit():
        try:
            main(sys.argv[1:])
        except Interrupted as stop:  # the process that has started this one says so
            raise Stopped(stop.signum) from None
