"""`transgan doctor`: prints what this machine has, and what is missing."""

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

from transgan.config.plan import Plan
from transgan.pipeline.snakemake_inputs import gpu_count
from transgan.utils.console import say, say_json
from transgan.utils.extras import EXTRAS, to_install
from transgan.utils.git import NO_REPOSITORY, git
from transgan.utils.locks import flock_error
from transgan.utils.units import GIB

_PACKAGES = ("torch", "torchvision", "torch-fidelity", "snakemake", "dvc", "mlflow", "pandas", "seaborn", "numpy")


def doctor(plan: Plan, as_json: bool = False) -> None:
    """Print a line each on Python, packages, hardware, git, locks, the project, its scale, MLflow and the browser.

    As JSON: an object with these lines.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    free = shutil.disk_usage(".").free / GIB
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    lines = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "packages": ", ".join(f"{name} {version}" for name in _PACKAGES if (version := _version(name))),
        "missing": _missing(),
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GiB memory, {free:.0f} GiB free disk space here, "
        f"{gpu_count(plan)} NVIDIA GPUs",
        "git": _git_state(),
        "locks": _locks(),
        "project": _project(plan),
        "scale": f"{plan.scale_name} of {plan.file}: {plan.scale.description}",
        "mlflow": os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db in this folder",
        "browser": browser or "no Chromium: browser tests will be skipped",
    }
    if as_json:
        say_json(lines)
        return
    for key, value in lines.items():
        say(f"{key:9} {value}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _missing() -> str:
    """The extras of this package that lack a library, with what to type."""
    lacking = {extra: [name for name in names if _version(name) is None] for extra, names in EXTRAS.items()}
    lines = [f"{', '.join(names)} (`{to_install(extra)}`)" for extra, names in lacking.items() if names]
    return "; ".join(lines) or "no package"


def _project(plan: Plan) -> str:
    if plan.outside_a_project:
        return "none in this folder, so the params.yaml of this package is read; `transgan init DIR` lays one out"
    return str(plan.file.absolute().parent)


def _git_state() -> str:
    """The commit here, or why there is none. "git failed" does not mean that there is no repository."""
    described = git(Path.cwd(), "describe", "--always", "--dirty")
    if described.output:
        return described.output
    if NO_REPOSITORY in described.reason:
        return f"{described.reason}: provenance has no commit, and DVC needs `dvc config core.no_scm true`"
    return f"cannot be read, so provenance has no commit and DVC fails: {described.explained}"


def _locks() -> str:
    try:
        reason = flock_error(Path())
    except OSError as error:
        return f"this folder cannot be written ({error.strerror})"
    if reason is None:
        return "flock works in this folder"
    return (
        f"no flock in this folder ({reason}): lock files with process id and host take its place; "
        "DVC needs `dvc config core.hardlink_lock true`"
    )
