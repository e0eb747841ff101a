"""`transgan doctor`: prints what this machine has, and what is missing."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata

from transgan.config.plan import Plan
from transgan.pipeline.snakemake_inputs import gpu_count
from transgan.utils.units import GIB

_PACKAGES = ("torch", "torchvision", "torch-fidelity", "snakemake", "dvc", "mlflow", "pandas", "seaborn", "numpy")


def doctor(plan: Plan) -> None:
    """Print a line each on Python, packages, hardware, git, the scale, MLflow and the browser."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    free = shutil.disk_usage(".").free / GIB
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    lines = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES),
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GiB memory, {free:.0f} GiB free disk space here, "
        f"{gpu_count(plan)} NVIDIA GPUs",
        "git": _git_state(),
        "scale": f"{plan.scale_name} of {plan.file}: {plan.scale.description}",
        "mlflow": os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db in this folder"),
        "browser": browser or "no Chromium: browser tests will be skipped",
    }
    for key, value in lines.items():
        print(f"{key:9} {value}")


def _git_state() -> str:
    git = shutil.which("git")
    if git is None:
        return "not installed: provenance will have no commit, and DVC needs `dvc config core.no_scm true`"
    result = subprocess.run([git, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return result.stdout.strip() or "not a repository: DVC needs `dvc config core.no_scm true`"
