"""Step: what the device can do at most, as a copy's TB/s and as matrix products' TFLOP/s at every precision."""

from typing import get_args

import torch

from gpu.step import Part, Results, Step, main
from gpu.timing import device_of, timed
from transgan.hardware.device import set_precision
from transgan.schema.recipe import Precision

SIDES, DRY_SIDES = (2048, 8192), (128, 256)
COPIED_BYTES, DRY_COPIED_BYTES = 4 * 2**30, 2**24


def run(step: Step) -> None:
    """Measure all ceilings."""
    arguments = (step.device, step.dry_run)
    results = step.run_parts([Part("copy", 2, copy, arguments), Part("products", 3, products, arguments)])
    rates = results["products"]
    step.record(
        summary=f"copy {results['copy'].get('tb_per_second', 0):.2f} TB/s; products "
        + ", ".join(f"{precision} {max(sides.values()):.0f}" for precision, sides in rates.items())
        + " TFLOP/s"
    )


def copy(kind: str, dry_run: bool) -> Results:
    """TB/s of a copy within the device's memory, reading and writing counted."""
    device = device_of(kind)
    source = torch.randint(256, (DRY_COPIED_BYTES if dry_run else COPIED_BYTES,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    milliseconds = timed(lambda: target.copy_(source), device)["ms"]
    yield "tb_per_second", 2 * source.numel() / (milliseconds / 1e3) / 1e12


def products(kind: str, dry_run: bool) -> Results:
    """TFLOP/s of a product of square matrices of random numbers: precision -> {side: rate}."""
    device = device_of(kind)
    for precision in get_args(Precision):
        set_precision(precision)
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        rates = {}
        for side in DRY_SIDES if dry_run else SIDES:
            left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
            milliseconds = timed(lambda left=left, right=right: left @ right, device)["ms"]
            rates[str(side)] = 2 * side**3 / (milliseconds / 1e3) / 1e12
        yield precision, rates


if __name__ == "__main__":
    main(run)
