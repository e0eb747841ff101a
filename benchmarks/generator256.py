"""Time and peak memory of one image from the 256-pixel generator, with grid and with standard attention.

    nice python benchmarks/generator256.py [--threads 2] [--out benchmarks/results/generator256.json]

The generator has its full width; standard attention replaces the tiles of its last three stages. The forward pass runs
without gradients in a separate process, whose peak memory the system reports. The memory beyond the weights is
also counted on tensors without content. If the machine is too small for standard attention, only that count is written.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch

from transgan.config import plan
from transgan.cost.estimate import Counter
from transgan.hardware.device import prepare_compute
from transgan.hardware.info import device_bytes
from transgan.models import build_generator, double_backward
from transgan.schema.model import TransformerGenerator
from transgan.utils import files
from transgan.utils.torch_private import FakeTensorMode

MODEL = "church256"
ROUNDS = 3
GIB = 2**30


def config(attention: str) -> TransformerGenerator:
    content = plan.load(Path("params.yaml"), "paper").models[MODEL].generator.plain()
    return TransformerGenerator.model_validate(plan.merge(content, {"wide": {"attention": attention}}))


def count(generator_config: TransformerGenerator) -> dict[str, float]:
    """Multiply-adds, and memory with fused kernels for attention and with plain matrix products."""
    with torch.device("meta"):
        generator = build_generator(generator_config)
    with FakeTensorMode(allow_non_fake_inputs=True), Counter() as counter, torch.no_grad():
        generator.to_empty(device="cpu")
        weights = counter.live
        flop, peak = counter.count(lambda: generator(torch.empty(1, generator.latent)))
        with double_backward():
            _, plain_peak = counter.count(lambda: generator(torch.empty(1, generator.latent)))
    return {
        "gmac": flop / 2e9,
        "weights_gib": weights / GIB,
        "activations_gib": peak / GIB,
        "plain_activations_gib": plain_peak / GIB,
    }


def run(attention: str, threads: int) -> dict[str, float]:
    prepare_compute(threads, "cpu")
    torch.manual_seed(0)
    generator = build_generator(config(attention)).eval()
    before = peak_bytes()
    seconds, cpu_seconds = [], []
    with torch.no_grad():
        for _ in range(ROUNDS):
            start, cpu_start = perf_counter(), process_time()
            generator(torch.randn(1, generator.latent))
            seconds.append(perf_counter() - start)
            cpu_seconds.append(process_time() - cpu_start)
    return {
        "seconds": min(seconds),
        "cpu_seconds": min(cpu_seconds),
        "peak_gib": peak_bytes() / GIB,
        "beyond_built_gib": (peak_bytes() - before) / GIB,
    }


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(attention: str, threads: int) -> dict[str, Any]:
    counted = count(config(attention))
    needed = (counted["weights_gib"] + counted["activations_gib"]) * GIB
    if needed > 0.8 * device_bytes():
        return {**counted, "ran": False}
    command = [sys.executable, __file__, "--run", attention, "--threads", str(threads)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {**counted, "ran": True, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/generator256.json"))
    parser.add_argument("--run", metavar="ATTENTION", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run(given.run, given.threads)))
        return
    results = {attention: measure(attention, given.threads) for attention in ("grid", "standard")}
    machine = {"threads": given.threads, "memory_gib": device_bytes() / GIB, "torch": torch.__version__}
    files.write_json(given.out, {"model": MODEL, "images": 1, "machine": machine, "attention": results})
    print(files.dumps(results), end="")


if __name__ == "__main__":
    main()
