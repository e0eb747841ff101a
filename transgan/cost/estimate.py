"""FLOPs and memory of a run, counted on its real networks and training step with fake tensors (shapes without content).

One discriminator step and one generator step of the run's recipe are executed (with gradient penalty, clipping,
optimizers and moving average) while floating-point operations and live bytes are counted. No memory is allocated for
the tensors, so any run can be counted on any machine.
"""

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from transgan.config.plan import Run
from transgan.models import build_discriminator, build_generator
from transgan.models.kernels.attention import plain_attention
from transgan.schema import ModelConfig, RecipeConfig
from transgan.schema.recipe import DynamicsConfig
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.utils.random import RandomStreams
from transgan.utils.torch_private import FakeTensorMode, TorchDispatchMode, tree_leaves
from transgan.utils.units import GIB


@dataclass(frozen=True)
class Estimate:
    """Cost of one run.

    Memory is that of one device: networks, gradients, optimizers, moving average and activations of a step.
    """

    generator_parameters: int
    discriminator_parameters: int
    # Of training, per real image shown to the discriminator; generator steps are included.
    gflop_per_image: float
    memory_gib: float
    # With attention as plain matrix products everywhere, as in the released code. The paper's "OOM" as a number.
    plain_memory_gib: float


def estimate(run: Run) -> Estimate:
    """Count the cost of a run. Memory is that of the most expensive step.

    Attention with a learnt bias is counted as plain matrix products. Outside the gradient penalty, a GPU's fused
    kernels need less.
    """
    recipe, resolution = run.recipe, run.dataset.resolution
    whole = _count_step(run.model, resolution, _one_pass(recipe, set(recipe.regularizers)))
    plain = _count_step(run.model, resolution, _one_pass(recipe, set(recipe.regularizers)), plain=True)
    return Estimate(
        generator_parameters=whole.parameters["generator"],
        discriminator_parameters=whole.parameters["discriminator"],
        gflop_per_image=gflop_per_image(run),
        memory_gib=whole.bytes / GIB,
        plain_memory_gib=plain.bytes / GIB,
    )


def gflop_per_image(run: Run) -> float:
    """Training GFLOP per real image.

    A multiply-add is two FLOPs and only matrix products count, as in torch.utils.flop_counter. A regularizer of
    interval n contributes an n-th of what it adds to a step, and one with `until` only until then.
    """
    recipe, resolution = run.recipe, run.dataset.resolution
    real, latents = (_pass_size(recipe, batch) for batch in (recipe.batch, recipe.generator_batch))
    # Images that generator steps generate, per real image shown to the discriminator.
    generated = recipe.generator_batch / (recipe.batch * recipe.n_critic)
    in_every_step = {
        name
        for name, term in recipe.regularizers.items()
        if term.interval == 1 and term.until is None and term.kind != "super_resolution"
    }
    base = _count_step(run.model, resolution, _one_pass(recipe, in_every_step))
    d_flop, g_flop = base.flop["discriminator"] / real, base.flop["generator"] / latents
    flop = d_flop + generated * g_flop
    for name, term in recipe.regularizers.items():
        if name in in_every_step:
            continue
        more = _count_step(run.model, resolution, _one_pass(recipe, {*in_every_step, name}))
        added = (more.flop[term.net] - base.flop[term.net]) / term.interval
        added *= min(1.0, (term.until or recipe.images) / recipe.images)
        if term.kind == "super_resolution":  # in a generator step, on as many real images as in a discriminator step
            flop += added / real / recipe.n_critic
        else:
            flop += added / real if term.net == "discriminator" else generated * added / latents
    return flop / 1e9


def _pass_size(recipe: RecipeConfig, batch: int) -> int:
    """Images in one forward pass on one device."""
    per_device = batch // recipe.devices
    return min(per_device, recipe.micro_batch or per_device)


def _one_pass(recipe: RecipeConfig, regularizers: set[str]) -> RecipeConfig:
    """The recipe reduced to one forward pass a step on one device, with only the named regularizers.

    Values that do not affect the cost are set to constants, so that the cache of `_count_step_once` serves more runs.
    """
    return recipe.model_copy(
        update={
            "images": 1,
            "log_images": 1,
            "dynamics": DynamicsConfig(),
            "threads": 1,
            "batch": _pass_size(recipe, recipe.batch),
            "generator_batch": _pass_size(recipe, recipe.generator_batch),
            "micro_batch": None,
            "batch_group": 0,
            "devices": 1,
            "compile": False,
            "regularizers": {name: term for name, term in recipe.regularizers.items() if name in regularizers},
        }
    )


@dataclass(frozen=True)
class _StepCost:
    """Parameters and FLOPs by network, and peak memory in bytes."""

    parameters: dict[str, int]
    flop: dict[str, float]
    bytes: int


def _count_step(model: ModelConfig, resolution: int, recipe: RecipeConfig, plain: bool = False) -> _StepCost:
    return _count_step_once(model.model_dump_json(), resolution, recipe.model_dump_json(), plain)


@lru_cache(maxsize=256)
def _count_step_once(model_json: str, resolution: int, recipe_json: str, plain: bool) -> _StepCost:
    """One discriminator step and one generator step of one forward pass each, with every regularizer of the recipe.

    `plain`: compute all attention as plain matrix products, which otherwise only the gradient penalty's double
    backward needs.
    """
    model, recipe = ModelConfig.model_validate_json(model_json), RecipeConfig.model_validate_json(recipe_json)
    with torch.device("meta"):
        networks = [build_generator(model.generator) for _ in range(2)]
        discriminator = build_discriminator(model.discriminator, resolution)
    attention = plain_attention() if plain else nullcontext()
    with FakeTensorMode(allow_non_fake_inputs=True), attention, Counter() as counter:
        for net in (*networks, discriminator):
            net.to_empty(device="cpu")
        trainer = Trainer(recipe, networks[0], discriminator, networks[1], ProcessGroup())
        random_inputs = RandomInputs(_Shapes(0), recipe, trainer.augmentation, networks[0], discriminator)
        real = torch.empty(recipe.batch, 3, resolution, resolution)
        d_flop, d_peak = counter.count(lambda: trainer.discriminator_step(real, random_inputs.discriminator(0)))
        g_flop, g_peak = counter.count(lambda: trainer.generator_step(random_inputs.generator(0), real))
        # Every gradient and optimizer state exists by now, so this is the peak of every later step.
        memory = counter.live + max(d_peak, g_peak)
    g_parameters, d_parameters = (
        sum(parameter.numel() for parameter in net.parameters()) for net in (networks[0], discriminator)
    )
    return _StepCost(
        {"generator": g_parameters, "discriminator": d_parameters},
        {"generator": g_flop, "discriminator": d_flop},
        memory,
    )


class _Shapes(RandomStreams):
    """Tensors of the right shapes without content: only shapes matter while FLOPs are counted."""

    def normal(self, name: str, step: int, *shape: int) -> Tensor:
        return torch.empty(shape)

    uniform = normal


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts FLOPs, and the bytes of live storages created inside the context. Works with fake tensors, too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self._peak = 0
        self._flop = 0
        self._known = WeakIdKeyDictionary()

    def count(self, work: Callable[[], None]) -> tuple[int, int]:
        """Run `work`. Returns its FLOPs, and by how many bytes live memory rose at its peak."""
        before = self._peak = self.live
        self._flop = 0
        work()
        return self._flop, self._peak - before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self._flop += formula(*args, **kwargs, out_val=result)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._hold(leaf.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = size
        weakref.finalize(storage, self._release, size)
        self.live += size
        self._peak = max(self._peak, self.live)

    def _release(self, size: int) -> None:
        self.live -= size
