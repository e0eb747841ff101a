"""Roofline of a training step on a GPU: a lower bound of its time from its operators alone, not a measurement.

    python benchmarks/roofline.py after     # write benchmarks/results/roofline-after.json and docs/performance.md

The real training step runs on fake tensors (shapes without content), along the path that a GPU takes in eager mode:
attention outside the penalty is one fused kernel. An operator takes the longest of its bytes divided by BANDWIDTH, its
FLOPs divided by the rate of their type, and LAUNCH. Caches, the host and the choice of kernels are not modelled.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from performance_page import PAGE, page
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from transgan.config import plan as plans
from transgan.config.plan import Run
from transgan.cost.estimate import Counter, _Shapes
from transgan.models import attention as layers
from transgan.models import build_discriminator, build_generator
from transgan.models.kernels import attention as kernels
from transgan.pipeline.provenance import source
from transgan.training.distributed.process_group import ProcessGroup
from transgan.training.random_inputs import RandomInputs
from transgan.training.step import Trainer
from transgan.utils import files
from transgan.utils.torch_private import FakeTensorMode, tree_leaves
from transgan.utils.units import GIB

RESULTS = Path(__file__).parent / "results"
RUNS = ("transgan-church256", "transgan-cifar10")
ARITHMETIC = {
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, penalty too": {"precision": "bfloat16", "penalty_precision": "bfloat16"},
}

# What an H100 attains: bytes a second, FLOPs a second by precision, the share of it that fused attention reaches, and
# the seconds of the smallest kernel.
BANDWIDTH = 2.6e12
RATES = {"tf32": 280e12, "bfloat16": 550e12}
FUSED_ATTENTION_SHARE = 0.35
LAUNCH = 2.5e-6

aten = torch.ops.aten
FUSED = (aten._scaled_dot_product_efficient_attention, aten._scaled_dot_product_efficient_attention_backward)
FREE = (
    torch.ops.prim.device,
    aten.empty,
    aten.empty_like,
    aten.empty_strided,
    aten.new_empty,
    aten.new_empty_strided,
    aten._unsafe_view,
)
OVERWRITING = (aten.copy_, aten.zero_, aten.fill_)  # they do not read their first argument


class Roofline(Counter):
    """Adds up time, bytes and kernels of the operators inside the context, and counts what Counter does.

    Matrix products of float32 tensors are computed in TF32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self.moved, self.kernels = 0.0, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if func.is_view or func.overloadpacket in FREE:
            return result
        read = _tensors((args[1:], kwargs) if func.overloadpacket in OVERWRITING else (args, kwargs))
        written = _tensors(result) or _written_arguments(func, args)
        moved = sum(map(_bytes, read)) + sum(map(_bytes, written))
        formula = flop_registry.get(func.overloadpacket)
        flop = formula(*args, **(kwargs or {}), out_val=result) if formula is not None else 0
        rate = RATES["bfloat16" if read and read[0].dtype == torch.bfloat16 else "tf32"]
        if func.overloadpacket in FUSED:
            rate *= FUSED_ATTENTION_SHARE
        self.seconds += max(moved / BANDWIDTH, flop / rate, LAUNCH)
        self.moved += moved
        self.kernels += 1
        return result

    def price(self, work: Callable[[], None]) -> dict[str, float]:
        """What `work` costs, and its peak memory with everything that was there before."""
        self.seconds, self.moved, self.kernels = 0.0, 0, 0
        held = self.live
        flop, risen = self.count(work)
        return {
            "ms": self.seconds * 1e3,
            "gb": self.moved / 1e9,
            "kernels": self.kernels,
            "tflop": flop / 1e12,
            "peak_gib": (held + risen) / GIB,
        }


def _tensors(tree: Any) -> list[Tensor]:
    """The tensors in a tree, each once."""
    return list({id(leaf): leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}.values())


def _written_arguments(func: Any, args: Any) -> list[Tensor]:
    """What an operator without a result changes in place."""
    declared = zip(func._schema.arguments, args, strict=False)
    return _tensors([value for argument, value in declared if argument.is_write])


def _bytes(tensor: Tensor) -> int:
    """Bytes of a tensor's elements; of an expanded tensor, those that it stores."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def fused_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """The kernel that torch chooses on a GPU for attention, with a gradient of the bias if it is learnt."""
    width = query.shape[-1]
    padding = -width % (16 // query.element_size())
    if bias is not None and padding:
        query, key, value = (torch.nn.functional.pad(x, (0, padding)) for x in (query, key, value))
    if bias is not None:
        bias = bias.to(query.dtype).expand(*query.shape[:2], -1, -1)
    needed = any(x is not None and x.requires_grad for x in (query, key, value, bias))
    logsumexp = needed and torch.is_grad_enabled()
    out: Tensor = aten._scaled_dot_product_efficient_attention(
        query, key, value, bias, logsumexp, 0.0, False, scale=width**-0.5
    )[0]
    return out[..., :width]


@contextmanager
def attention_of_a_gpu() -> Iterator[None]:
    """Inside, attention outside the penalty is the fused kernel of a GPU, although the tensors claim to be on a CPU."""
    original = kernels.attention

    def attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        if kernels.double_backward_enabled():
            return original(query, key, value, bias)
        return fused_attention(query, key, value, bias)

    layers.attention = attention
    try:
        yield
    finally:
        layers.attention = original


def roofline(run: Run, arithmetic: str, changes: dict[str, str]) -> list[dict[str, Any]]:
    """A discriminator step and a generator step of one micro-batch on one GPU, each with its optimizer."""
    recipe = run.recipe
    sizes = {key: min(getattr(recipe, key), recipe.micro_batch or 10**9) for key in ("batch", "generator_batch")}
    recipe = recipe.model_copy(update={**sizes, "micro_batch": None, "compile": False, "devices": 1, **changes})
    side = run.dataset.resolution
    with torch.device("meta"):
        networks = [build_generator(run.model.generator) for _ in range(2)]
        discriminator = build_discriminator(run.model.discriminator, side)
    with FakeTensorMode(allow_non_fake_inputs=True), attention_of_a_gpu(), Roofline() as counter:
        for net in (*networks, discriminator):
            net.to_empty(device="cpu")
        trainer = Trainer(recipe, networks[0], discriminator, networks[1], ProcessGroup())
        random_inputs = RandomInputs(_Shapes(0), recipe, trainer.augmentation, networks[0], discriminator)
        real = torch.empty(recipe.batch, 3, side, side)
        d_inputs, g_inputs = random_inputs.discriminator(0), random_inputs.generator(0)
        for _ in range(2):  # in the second round gradients and optimizer states exist
            costs = {
                "D step": counter.price(lambda: trainer.discriminator_step(real, d_inputs)),
                "G step": counter.price(lambda: trainer.generator_step(g_inputs, real)),
            }
    rows = []
    for step, cost in costs.items():
        images = recipe.batch if step == "D step" else recipe.generator_batch
        rows.append({"run": run.name, "arithmetic": arithmetic, "step": step, "images": images, **cost})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["before", "after"], help="of the result")
    arguments = parser.parse_args()
    plan = plans.load(scale="paper")
    rows = []
    for name in RUNS:
        for arithmetic, changes in ARITHMETIC.items():
            if arguments.name == "after" or "penalty_precision" not in changes:  # an option that came with `after`
                rows += roofline(plan.run(name), arithmetic, changes)
                print(*rows[-2:], sep="\n", flush=True)
    files.write_json(RESULTS / f"roofline-{arguments.name}.json", {**source(), "rows": rows})
    files.write_text(PAGE, page(RESULTS))


if __name__ == "__main__":
    main()
