"""Speed of a training step: this project's step and a plain loop written like the released one, alternating.

    python benchmarks/train_step.py transgan-cifar10 --scale paper --batch 8 --device cpu
    python benchmarks/train_step.py --page            # docs/performance.md from everything in benchmarks/results

One iteration is n_critic discriminator steps and one generator step. torch's FlopCounterMode counts the FLOPs of this
project's eager iteration. The rate of matrix products is the median over products of size 2048, which alternate with
this project's iterations (on a CPU: with its steps). In results, `ours` is this project's step, `plain` the plain loop.
"""

import argparse
import contextlib
import copy
import ctypes
import gc
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from performance_page import PAGE, page
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from transgan.config import plan as plans
from transgan.config.plan import Run
from transgan.data.pack import Pack
from transgan.hardware.device import prepare_compute, set_precision
from transgan.hardware.malloc import M_MMAP_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory
from transgan.models import attention, build_discriminator, build_generator
from transgan.pipeline.provenance import hardware, versions
from transgan.schema import RecipeConfig
from transgan.schema.recipe import Precision
from transgan.training.data_loader import ImageLoader
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import DiscriminatorInputs, GeneratorInputs, RandomInputs
from transgan.training.step import Trainer
from transgan.utils import files
from transgan.utils.random import RandomStreams

RESULTS = Path(__file__).parent / "results"
PRODUCT_SIDE = 2048
# What malloc adjusts itself to if large tensors are freed: mappings from 32 MiB on, 64 MiB kept at the heap's end.
USUAL_MALLOC = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 2**25, M_TRIM_THRESHOLD: 2**26}
LOADER_IMAGES = 20_000


class PlainLoop:
    """The released loop: three D passes, gradients through G, loops over parameters, and the gradient leak."""

    def __init__(self, recipe: RecipeConfig, generator: nn.Module, discriminator: nn.Module, trainer: Trainer) -> None:
        self.recipe, self.generator, self.discriminator, self.augmentation = (
            recipe,
            generator,
            discriminator,
            trainer.augmentation,
        )
        self.generator_ema = [parameter.detach().cpu().clone() for parameter in generator.parameters()]
        adam = {"lr": recipe.generator.lr, "betas": recipe.generator.betas, "foreach": False, "fused": False}
        self.g_optimizer = torch.optim.Adam(generator.parameters(), **adam)
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), **adam)

    def discriminator_step(self, real: Tensor, inputs: DiscriminatorInputs) -> None:
        """Three passes of D, two of them differentiated once and one twice."""
        for rows in self._parts(len(real)):
            self._discriminator_loss(real[rows], inputs.rows(rows)).mul(len(real[rows]) / len(real)).backward()
        nn.utils.clip_grad_norm_(self.discriminator.parameters(), 5.0, foreach=False)
        self.d_optimizer.step()
        self.d_optimizer.zero_grad()

    def _discriminator_loss(self, real: Tensor, inputs: DiscriminatorInputs) -> Tensor:
        real_logits = self._scores(real, inputs, 0)
        fake = self.generator(inputs.z, inputs.generator_noise)
        fake_logits = self._scores(fake.detach(), inputs, 1)
        between = (inputs.alpha * real + (1 - inputs.alpha) * fake.detach()).requires_grad_(True)
        logits = self._scores(between, inputs, 2)
        (gradient,) = torch.autograd.grad(
            logits, between, torch.ones_like(logits), create_graph=True, retain_graph=True
        )
        penalty = ((gradient.reshape(len(gradient), -1).norm(2, dim=1) - 1) ** 2).mean()
        loss: Tensor = -real_logits.mean() + fake_logits.mean() + 10 * penalty + 0.001 * real_logits.mean() ** 2
        return loss

    def generator_step(self, inputs: GeneratorInputs) -> None:
        """D's gradients are computed as well and not cleared."""
        for rows in self._parts(len(inputs.z)):
            part = inputs.rows(rows)
            fake = self.generator(part.z, part.generator_noise)
            loss = -self.discriminator(self.augmentation(fake, part.augment), part.noise).mean()
            loss.mul(len(part.z) / len(inputs.z)).backward()
        nn.utils.clip_grad_norm_(self.generator.parameters(), 5.0, foreach=False)
        self.g_optimizer.step()
        self.g_optimizer.zero_grad()
        for average, parameter in zip(self.generator_ema, self.generator.parameters(), strict=True):
            average.copy_(parameter.detach().cpu().lerp(average, 0.999))

    def _parts(self, length: int) -> list[slice]:
        """The recipe's micro-batches: at 256 pixels no device holds a whole batch."""
        size = self.recipe.micro_batch or length
        return [slice(start, start + size) for start in range(0, length, size)]

    def _scores(self, images: Tensor, inputs: DiscriminatorInputs, copy: int) -> Tensor:
        augment, noise = (None if numbers is None else numbers[copy] for numbers in (inputs.augment, inputs.noise))
        logits: Tensor = self.discriminator(self.augmentation(images, augment), noise)
        return logits


@contextlib.contextmanager
def as_released() -> Iterator[None]:
    """Networks inside compute as the released modules do: a gathered bias, unfused attention and GELU."""

    def released_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        logits = (query @ key.transpose(-2, -1)) * query.shape[-1] ** -0.5
        return (logits if bias is None else logits + bias).softmax(-1) @ value

    with (
        mock.patch.object(attention, "relative_bias", gathered_bias),
        mock.patch.object(attention, "attention", released_attention),
        mock.patch.object(F, "gelu", lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))),
        double_float32(),
        usual_malloc(),
    ):
        yield


@contextlib.contextmanager
def usual_malloc() -> Iterator[None]:
    """glibc's malloc with its own settings: kept memory is released first, and every large tensor is mapped anew."""
    libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if libc is not None:
        for option, value in USUAL_MALLOC.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)
    yield
    keep_freed_memory()


@contextlib.contextmanager
def double_float32() -> Iterator[None]:
    """Full float32, in which the released loop computes."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_precision("float32")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def gathered_bias(table: Tensor, height: int, width: int) -> Tensor:
    """The (heads, N, N) bias gathered by an index of N x N entries, whose backward pass is a scatter."""
    row, column = torch.meshgrid(
        torch.arange(height, device=table.device), torch.arange(width, device=table.device), indexing="ij"
    )
    row, column = row.flatten(), column.flatten()
    index = (row[:, None] - row[None] + height - 1) * (2 * width - 1) + column[:, None] - column[None] + width - 1
    return table[index.view(-1)].view(len(row), len(row), -1).permute(2, 0, 1)


class ProductStep:
    """This project's step on a run's networks, with random images in place of real ones."""

    def __init__(self, run: Run, recipe: RecipeConfig, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        generator = build_generator(run.model.generator).to(device)
        discriminator = build_discriminator(run.model.discriminator, run.dataset.resolution).to(device)
        self.trainer = Trainer(recipe, generator, discriminator, copy.deepcopy(generator), ProcessGroup())
        self.random_inputs = RandomInputs(
            RandomStreams(0, device), recipe, self.trainer.augmentation, generator, discriminator
        )
        side = run.dataset.resolution
        self.real = RandomStreams(0, device).uniform("real", 0, recipe.batch, 3, side, side) * 2 - 1
        self.parameters = [sum(p.numel() for p in net.parameters()) for net in (generator, discriminator)]

    def ours(self) -> None:
        """One iteration of this project's step."""
        for _ in range(self.recipe.n_critic):
            self.step()

    def step(self) -> None:
        """One D step and, if it is due, one G step."""
        self.trainer.training_step(self.real, self.random_inputs)


class Pair(ProductStep):
    """This project's step and the plain loop, on copies of the same networks and the same random numbers."""

    def __init__(self, run: Run, recipe: RecipeConfig, device: torch.device) -> None:
        super().__init__(run, recipe, device)
        copies = copy.deepcopy((self.trainer.generator, self.trainer.discriminator))
        self.plain = PlainLoop(recipe, *copies, self.trainer)

    def released(self) -> None:
        """One iteration of the plain loop."""
        with as_released():
            for step in range(self.recipe.n_critic):
                self.plain.discriminator_step(self.real, self.random_inputs.discriminator(step))
            self.plain.generator_step(self.random_inputs.generator(0))


class OneModule:
    """Replaces FlopCounterMode's module tracker, whose hooks refuse a gradient with respect to a module's own input."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(work: Callable[[], object], device: torch.device) -> float | None:
    """Peak GiB allocated on a GPU while `work` runs; None on a CPU, whose processes share one peak."""
    if device.type != "cuda":
        return None
    gc.collect()
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated() / 2**30


def measure(
    run: Run, recipe: RecipeConfig, device: torch.device, rounds: int, ours_only: bool = False
) -> dict[str, object]:
    """Measure this project's step, the plain loop (unless `ours_only`) and matrix products, alternating."""
    set_precision(recipe.precision)
    pair = Pair(run, recipe, device)
    eager = pair if not recipe.compile else Pair(run, recipe.model_copy(update={"compile": False}), device)
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = OneModule()
    with counter:
        eager.ours()
    flops = counter.get_total_flops()
    del eager
    for _ in range(2):  # warm up, compile
        pair.ours()
        if not ours_only:
            pair.released()
    dtype = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
    left, right = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE, device=device, dtype=dtype) for _ in range(2))
    repeats = 20 if device.type == "cuda" else 1
    # On a shared CPU, rates change by a tenth within seconds, so products alternate with single steps. A GPU would have
    # to wait for each step.
    parts = [pair.step] * recipe.n_critic if device.type == "cpu" else [pair.ours]
    seconds: dict[str, list[float]] = {"ours": [], "plain": [], "product": []}
    for _ in range(rounds):
        if not ours_only:
            pair.ours()  # untimed: takes back the memory that the plain loop returned to the system
        turn = 0.0
        for part in parts:
            for _ in range(3):
                seconds["product"].append(timed(lambda: [left @ right for _ in range(repeats)], device) / repeats)
            turn += timed(part, device)
        seconds["ours"].append(turn)
        if not ours_only:
            seconds["plain"].append(timed(pair.released, device))
    ours, product = (statistics.median(seconds[name]) for name in ("ours", "product"))
    plain = None if ours_only else statistics.median(seconds["plain"])
    rate, product_rate = flops / ours, 2 * PRODUCT_SIDE**3 / product
    images = recipe.batch * recipe.n_critic
    return {
        "parameters": dict(zip(("generator", "discriminator"), pair.parameters, strict=True)),
        "rounds": rounds,
        "seconds_per_iteration": {"ours": ours, "plain": plain},
        "ratio": plain and plain / ours,
        "ratios": [p / o for p, o in zip(seconds["plain"], seconds["ours"], strict=not ours_only)],
        "images_per_second": {"ours": images / ours, "plain": plain and images / plain},
        "tflop_per_iteration": flops / 1e12,
        "tflops": {"ours": rate / 1e12, "matrix_product": product_rate / 1e12},
        "share_of_matrix_product_rate": rate / product_rate,
        "peak_memory_gib": {
            "ours": peak_memory(pair.ours, device),
            "plain": None if ours_only else peak_memory(pair.released, device),
        },
        "loader_images_per_second": loader_rate(run.dataset.resolution, recipe.batch, device),
    }


def loader_rate(side: int, batch: int, device: torch.device) -> float:
    """Images per second of the read-ahead loader alone, for images in a file that do not stay on the device."""
    with tempfile.TemporaryDirectory() as folder:
        count = min(LOADER_IMAGES, 2**28 // (side * side * 3))
        path = Path(folder) / "images.npy"
        np.save(path, np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))
        pack = Pack(np.load(path, mmap_mode="r"), np.full(count, -1), {"splits": {"train": [0, count]}})
        loader = ImageLoader(pack, ("train",), batch, True, RandomStreams(0, device), ProcessGroup(), resident=False)
        steps = max(20, count // batch // 2)
        loader.batch(0)
        seconds = timed(lambda: [loader.batch(step) for step in range(1, steps + 1)], device)
        loader.close()
    return steps * batch / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default="transgan-cifar10")
    parser.add_argument("--scale", default="paper")
    parser.add_argument("--batch", type=int, help="D's batch; G's keeps its ratio to it (default: the recipe's)")
    parser.add_argument(
        "--micro-batch", type=int, help="images computed at once, in both networks (default: the recipe's)"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ours-only", action="store_true", help="without the plain loop, which needs far more memory")
    parser.add_argument("--page", action="store_true", help="only write docs/performance.md")
    arguments = parser.parse_args()
    if not arguments.page:
        plan = plans.load(scale=arguments.scale)
        run = plan.run(arguments.run)
        batch = arguments.batch or run.recipe.batch
        generator_batch = batch * run.recipe.generator_batch // run.recipe.batch
        micro_batch = arguments.micro_batch or run.recipe.micro_batch
        group = math.gcd(run.recipe.batch_group, batch)
        sizes = {"batch": batch, "generator_batch": generator_batch, "batch_group": group, "micro_batch": micro_batch}
        recipe = run.recipe.model_copy(
            update={**sizes, "precision": arguments.precision, "compile": arguments.compile, "devices": 1}
        )
        device = prepare_compute(arguments.threads, arguments.device)
        load = os.getloadavg()[0]
        measured = measure(run, recipe, device, arguments.rounds, arguments.ours_only)
        name = torch.cuda.get_device_name() if device.type == "cuda" else f"{arguments.threads} CPU threads"
        setting = {
            "run": run.name,
            "scale": arguments.scale,
            "device": name,
            "precision": recipe.precision,
            "compile": recipe.compile,
            **sizes,
        }
        machine = {
            **hardware(),
            "python": platform.python_version(),
            "libraries": versions(),
            "load_before": round(load, 1),
        }
        suffix = f"{device.type}-{recipe.precision}{'-compiled' if recipe.compile else ''}"
        suffix += f"-b{batch}{f'-micro{micro_batch}' if micro_batch else ''}"
        path = RESULTS / f"train_step-{run.name}-{arguments.scale}-{suffix}.json"
        files.write_json(path, {"setting": setting, "measured": measured, "machine": machine})
        print(path, json.dumps(measured, indent=1))
    files.write_text(PAGE, page(RESULTS))


if __name__ == "__main__":
    main()
