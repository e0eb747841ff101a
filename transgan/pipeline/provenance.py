"""The content of provenance.json: the commit that computed a result, and with which machine, versions and times.

No other output may differ when a result is computed twice. The stages train, score and table do not read it.
"""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import transgan
from transgan.config import project_files
from transgan.hardware.info import cpu_identity, cpu_model
from transgan.hardware.instruction_set import in_force
from transgan.utils.git import NO_REPOSITORY, git
from transgan.utils.units import GIB

# A working tree is dirty if these tracked files differ from HEAD: all that decide what is computed, and no others.
DIRTY_PATHS = ("transgan", "workflow", "params.yaml", "dvc.yaml", "pyproject.toml", "uv.lock")
LIBRARIES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "scikit-learn", "pillow", "mlflow")


def collect(started: datetime, mlflow_run_id: str | None, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Provenance of work that began at `started` (aware of its time zone) and ends now, as JSON-compatible data.

    Keys: commit (40 hex digits, None outside a clone), dirty (None outside a clone), started, finished (ISO 8601, UTC),
    seconds, mlflow_run_id, hardware (see `hardware`), python, libraries {name: version}, and those of `extra`. No host
    or user is named, so the file can be published.
    """
    finished = datetime.now(UTC)
    return {
        **source(),
        "started": _iso(started),
        "finished": _iso(finished),
        "seconds": round((finished - started.astimezone(UTC)).total_seconds(), 3),
        "mlflow_run_id": mlflow_run_id,
        "hardware": hardware(),
        "python": platform.python_version(),
        "libraries": versions(),
        **(extra or {}),
    }


def source() -> dict[str, Any]:
    """The commit of the running sources and whether they differ from it. Both are None where git does not tell."""
    root = _clone()
    commit = git(root, "rev-parse", "HEAD").output if isinstance(root, Path) else None
    if not isinstance(root, Path) or not commit:
        return {"commit": None, "dirty": None}
    changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", *DIRTY_PATHS).output
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def unknown_commit() -> str | None:
    """Why the commit of the running sources is not known, in git's words, and what to type; None if it is known.

    None also for a package that was installed from a wheel: its version names the sources.
    """
    if project_files.IN_WHEEL.is_dir():
        return None
    root = _clone()
    if not isinstance(root, Path):
        return root
    head = git(root, "rev-parse", "HEAD")
    return None if head.output else head.explained


@cache
def hardware() -> dict[str, Any]:
    """The processor and the instructions used of it, usable cores, memory, and the GPUs that this process may use.

    Keys: cpu (name), processor {vendor, family, model, stepping}, instruction_set (PyTorch's: DEFAULT, AVX2, AVX512),
    settings (the environment variables by which this process limits its instructions), cores, memory_gib, gpus (names).
    """
    import torch  # only a stage that has worked collects provenance, and it has imported torch

    return {
        "cpu": cpu_model(),
        "processor": cpu_identity(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "settings": in_force(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def versions() -> dict[str, str]:
    """Versions of this package and of the installed libraries that a number may depend on."""
    found = {"transgan": transgan.__version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _clone() -> Path | str:
    """Root of the clone that contains the running package, else the working directory if that is a clone.

    If neither is, why: what git says of a clone that it will not read, rather than that a folder is no clone.
    """
    reasons = []
    for folder in (Path(transgan.__file__).resolve().parents[1], Path.cwd()):
        listed = git(folder, "ls-files", "transgan/__init__.py")
        if listed.output:
            return folder
        no_clone = f"{NO_REPOSITORY} of this package: {folder}; work in a clone of the project (`git clone`)"
        reasons.append(listed.explained if listed.reason else no_clone)
    return next((reason for reason in reasons if NO_REPOSITORY not in reason), reasons[0])


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
