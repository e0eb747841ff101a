"""Whether results are the same bytes on other processors, which qemu imitates.

    python benchmarks/same_bytes.py                      # this processor, Intel's Haswell and AMD's EPYC
    python benchmarks/same_bytes.py --free               # the same without same_bytes: what would differ
    python benchmarks/same_bytes.py --compare A B        # two folders with results, from whichever machines

It runs every stage on a few of the demo's networks for a few hundred images: as they are on this processor, then in
`qemu-x86_64 -cpu NAME` (Debian's package qemu-user), where the processor's instructions are interpreted and every
library sees the imitated vendor, caches and instruction sets. That takes 20 to 60 times as long.
The exit code is 1 if a file differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from transgan.config import plan as plans
from transgan.pipeline.stages import stages
from transgan.utils import files

RUNS = ("transgan-cifar10", "wgan-gp-cifar10", "stylegan2-diffaug-cifar10")
PROCESSORS = ("Haswell", "EPYC")
EXEMPT = ("provenance.json",)  # names the machine and times
SCALE = "short"
# qemu 7.2 executes numpy's AVX2 argsort wrongly: it crashes, or scrambles a table's rows. Stages that only sort and
# print therefore do without numpy's AVX2 loops there.
PRINTING = ("table", "cells", "figure")
WITHOUT_NUMPY_AVX2 = """
from transgan.hardware.instruction_set import SETTINGS
SETTINGS["NPY_DISABLE_CPU_FEATURES"] += " X86_V3"
from transgan import cli
cli.main()
"""


def short_params(images: int, same_bytes: bool) -> dict[str, Any]:
    """A params file with the demo's entries for RUNS, trained for about `images` images each, and one table of them."""
    plan = plans.load(scale="demo")
    runs = {name: plan.run(name) for name in RUNS}
    content: dict[str, Any] = {
        "scale": SCALE,
        "data": {"mirror": None},
        "execution": {"device": "cpu", "checkpoint_minutes": 5.0, "keep_checkpoints": 2},
        "datasets": {name: config.plain() for name, config in plan.datasets.items() if name in ("digits", "cifar10")},
        "classifiers": {name: config.plain() for name, config in plan.classifiers.items()},
        "protocols": {run.protocol_name: run.protocol.plain() for run in runs.values()},
        "models": {name: run.model.plain() for name, run in runs.items()},
        "recipes": {},
        "runs": {},
    }
    for classifier in content["classifiers"].values():
        classifier |= {"epochs": 2, "accuracy": 0.0}
    for protocol in content["protocols"].values():
        samples = min(protocol["samples"], 200)
        protocol |= {
            "samples": samples,
            "kid_subset_size": 100,
            "kid_subsets": 5,
            "metrics": ["is", "fid", "kid", "prc"],
        }
    for name, run in runs.items():
        recipe = run.recipe.plain()
        step = recipe["batch"] * recipe["n_critic"]
        recipe |= {"images": max(1, images // step) * step, "log_images": step}
        recipe["dynamics"] |= {"points": 2, "first": step, "latents": 16}
        content["recipes"][name] = recipe
        content["runs"][name] = {
            "dataset": run.dataset_name,
            "model": name,
            "recipe": name,
            "protocol": run.protocol_name,
        }
    rows = [{"name": name, "runs": {"cifar10": [name]}} for name in RUNS]
    columns = [{"dataset": "cifar10", "title": "Digits", "metrics": ["is", "fid"]}]
    content["tables"] = {"short": {"title": "Short runs", "source": "none", "columns": columns, "rows": rows}}
    content["figures"] = {"samples": {"kind": "samples", "title": "Samples", "source": "none", "runs": list(RUNS)}}
    kinds = ("datasets", "models", "recipes", "protocols", "classifiers", "runs")
    scale = {kind: {name: {} for name in content[kind]} for kind in kinds}
    described = {"description": "a few images", "comparable": False, "same_bytes": same_bytes}
    return {**content, "scales": {SCALE: {**described, **scale}}}


def run_stages(folder: Path, params: dict[str, Any], processor: str | None) -> float:
    """Run every stage in `folder`, on an imitated processor if one is named; return the seconds it took."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    emulator = [] if processor is None else ["qemu-x86_64", "-cpu", processor]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    started = time.monotonic()
    for stage in stages(plans.load(folder / "params.yaml")).values():
        start = ["-c", WITHOUT_NUMPY_AVX2] if emulator and stage.verb in PRINTING else ["-m", "transgan"]
        command = [*emulator, sys.executable, *start, *stage.command.split()[1:]]
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=sys.stderr, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            sys.exit(f"{stage.key} on {processor or 'this processor'}: exit code {done.returncode}\n{done.stderr}")
        print(f"{processor or 'this processor'}: {stage.key}", file=sys.stderr)
    return time.monotonic() - started


def compare(first: Path, second: Path) -> tuple[list[str], list[str], list[str]]:
    """Names of the files of `results` and `data` that are equal, that differ, and that only one of two folders has."""
    found = [_digests(folder) for folder in (first, second)]
    both = sorted(found[0].keys() & found[1].keys())
    equal = [name for name in both if found[0][name] == found[1][name]]
    return equal, [name for name in both if name not in equal], sorted(found[0].keys() ^ found[1].keys())


def _digests(folder: Path) -> dict[str, str]:
    """Digest of every declared result, by path."""
    paths = [path for kind in ("data", "results") for path in (folder / kind).glob("*/**/*") if path.is_file()]
    skipped = ("archives", "incoming", "store")
    return {
        str(path.relative_to(folder)): files.sha256(path)
        for path in paths
        if path.name not in EXEMPT and path.relative_to(folder).parts[1] not in skipped
    }


def report(name: str, first: Path, second: Path) -> bool:
    """Print what a comparison found; return whether all files are equal."""
    equal, different, single = compare(first, second)
    for title, names in (("differs", different), ("only in one", single)):
        for file in names:
            print(f"{title}: {file}")
    print(f"{name}: {len(equal)} equal, {len(different)} differ, {len(single)} only in one", flush=True)
    return not different and not single


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", nargs=2, type=Path, metavar="FOLDER", help="compare two projects' results")
    parser.add_argument("--free", action="store_true", help="without same_bytes")
    parser.add_argument("--images", type=int, default=256, help="images of each run")
    parser.add_argument("--cpu", nargs="+", default=PROCESSORS, help="processors that `qemu-x86_64 -cpu help` lists")
    parser.add_argument("--keep", type=Path, help="work in this folder and do not delete it")
    arguments = parser.parse_args()
    if arguments.compare:
        sys.exit(not report("comparison", *arguments.compare))
    if shutil.which("qemu-x86_64") is None:
        print("skipped: there is no qemu-x86_64 here (Debian: apt-get install qemu-user)")
        return
    params = json.loads(json.dumps(short_params(arguments.images, not arguments.free)))
    same = True
    with tempfile.TemporaryDirectory() as temporary:
        root = (arguments.keep or Path(temporary)).absolute()
        print(f"this processor: {run_stages(root / 'native', params, None):.0f} s", flush=True)
        for name in arguments.cpu:
            seconds = run_stages(root / name, params, name)
            same &= report(f"{name} ({seconds:.0f} s)", root / "native", root / name)
    sys.exit(not same)


if __name__ == "__main__":
    main()
