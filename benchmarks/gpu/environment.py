"""Step: what the machine has, the packages that travelled installed, the packed images unpacked and prepared.

Before the wheels are installed it uses the standard library and PyYAML only.
"""

import importlib
import lzma
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from gpu import project
from gpu.results import read_json
from gpu.step import Part, Results, Step, describe, main, run_part

MODULES = (
    *("torch", "torchvision", "triton", "numpy", "scipy", "PIL", "pydantic", "torch_fidelity", "lmdb", "safetensors"),
    *("filelock", "psutil", "pynvml", "threadpoolctl", "typer", "yaml", "sklearn", "matplotlib"),
    *("pytest", "xdist", "pytest_timeout", "mlflow", "snakemake", "dvc"),
)
GPU_QUERY = ("name", "driver_version", "memory.total", "memory.used", "clocks.sm", "clocks.max.sm", "power.limit")


def run(step: Step) -> None:
    """Describe the machine and make everything ready for the other steps."""
    step.record(python=platform.python_version(), machine=platform.machine(), cores=os.cpu_count(), gpu=nvidia_smi())
    if step.packed:
        step.record(wheels=install_wheels(step.packed, step.work / "site"))
    # Forking is tried first, from a process that has imported what later ones import. Where CUDA does not start in a
    # forked process, parts are started from scratch.
    importlib.invalidate_caches()
    step.record(product=imported(("gpu.training_steps",)))
    found: dict[str, Any] = {}
    for method in ("fork", "spawn"):
        *_, found = run_part(Part("device", 1, device, (step.device,)), step.left / 3, method)
        if found["status"] == "ok":
            break
    step.record(start_method=method, device_found=found["status"] == "ok", torch=found["results"].get("torch", found))
    name = step.recorded["torch"].get("name", step.device)
    step.record(summary=name)
    if step.packed and step.recorded["device_found"]:
        unpack(step.packed, step.work)
        step.record(prepared=prepare(step))
    step.record(modules=imported(MODULES))
    missing = [module for module, version in step.recorded["modules"].items() if version.startswith("missing")]
    step.record(summary=f"{name}; missing: {', '.join(missing) or 'nothing'}")


def nvidia_smi() -> dict[str, str]:
    """What nvidia-smi says of the first GPU; empty where there is none."""
    command = ["nvidia-smi", f"--query-gpu={','.join(GPU_QUERY)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(GPU_QUERY, map(str.strip, answer.splitlines()[0].split(",")), strict=False))


def install_wheels(packed: Path, site: Path) -> list[str]:
    """Install the packed wheels into the folder `site`, which is on the path of every step; return their names."""
    wheels = sorted(packed.glob("*.whl"))
    if wheels:
        # Where it fails, the packages may still be there; what is missing is recorded.
        options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--target", str(site)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, *map(str, wheels)], check=False)
    return [wheel.name for wheel in wheels]


def device(kind: str) -> Results:
    """Versions of torch and CUDA, and the device's name and size. Fails if there is no such device."""
    import torch

    content: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
    }
    if kind == "cuda":
        properties = torch.cuda.get_device_properties(0)
        content |= {
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gib": properties.total_memory / 2**30,
            "multiprocessors": properties.multi_processor_count,
            "cudnn": torch.backends.cudnn.version(),
            "sum": float(torch.ones(10, device="cuda").sum()),
        }
    yield "torch", content


def unpack(packed: Path, work: Path) -> None:
    """Unpack the images and Inception's weights into the project folder, at the same time."""
    folder = project.folder(work)
    folder.mkdir(parents=True, exist_ok=True)
    # Processes, because a step's time is short and each stream is unpacked by one core.
    streams = [
        multiprocessing.get_context("fork").Process(target=_unpack, args=(packed / f"{name}.xz", folder / name))
        for name in (project.IMAGES, project.WEIGHTS)
        if (packed / f"{name}.xz").exists()
    ]
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()


def _unpack(source: Path, target: Path) -> None:
    with lzma.open(source) as stream, target.open("wb") as file:
        shutil.copyfileobj(stream, file, 2**20)


def prepare(step: Step) -> dict[str, Any]:
    """Fetch and prepare the packed images, as a user would; return how long both took together.

    Nothing else runs meanwhile: a preparation in the background would disturb what the next steps measure.
    """
    assert step.packed is not None
    count = read_json(step.packed / "packed.json")["images"]
    project.write_params(step.work, count, step.device, step.dry_run)
    start = time.monotonic()
    for verb in ("fetch", "prepare"):
        command = [sys.executable, "-m", "transgan", verb, project.DATASET, "--scale", project.SCALE]
        subprocess.run(command, cwd=project.folder(step.work), check=True)
    return {"images": count, "seconds": round(time.monotonic() - start, 2)}


def imported(names: tuple[str, ...]) -> dict[str, str]:
    """Module -> its version, or why it cannot be imported."""
    distributions = metadata.packages_distributions()
    found = {}
    for name in names:
        try:
            importlib.import_module(name)
            found[name] = metadata.version(distributions[name][0]) if name in distributions else "there"
        except Exception as error:
            found[name] = f"missing ({describe(error)})"
    return found


if __name__ == "__main__":
    main(run)
