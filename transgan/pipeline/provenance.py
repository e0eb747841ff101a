"""Where a result comes from: commit and local changes, machine, library versions, times. A stage's provenance.json.

These are the only outputs that may differ when a stage runs twice. No train, score or table stage reads them.
"""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import transgan
from transgan.hardware.info import cpu_model

# A tree is dirty if tracked files under these paths, which decide what is computed, differ from HEAD.
DIRTY_PATHS = ("transgan", "workflow", "params.yaml", "dvc.yaml", "pyproject.toml", "uv.lock")
LIBRARIES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "scikit-learn", "pillow", "mlflow")


def collect(started: datetime, mlflow_run_id: str | None, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Provenance of work that started at `started` (with a time zone) and ends now, as JSON-compatible data.

    Keys: commit (40 hex digits, None outside a clone), dirty (None outside a clone), started, finished (ISO 8601, UTC),
    seconds, mlflow_run_id, hardware {cpu, cores, memory_gib, gpus}, python, libraries {name: version}, and `extra`'s.
    It names no host and no user, so the file can be published.
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
    """The commit of the running sources and whether they differ from it; both None where there is no git history."""
    root = _clone()
    commit = _git(root, "rev-parse", "HEAD") if root else None
    if root is None or not commit:
        return {"commit": None, "dirty": None}
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *DIRTY_PATHS)
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


@cache
def hardware() -> dict[str, Any]:
    """The machine in words: CPU model, usable cores, memory in GiB, names of the GPUs this process may use."""
    import psutil
    import torch

    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def versions() -> dict[str, str]:
    """Installed versions of the libraries that a number may depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _clone() -> Path | None:
    """Root of the clone that the running package is part of; else the working directory, if that is one."""
    for folder in (Path(transgan.__file__).resolve().parents[1], Path.cwd()):
        if _git(folder, "ls-files", "transgan/__init__.py"):
            return folder
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails, does not answer, or is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
