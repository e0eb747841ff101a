"""`transgan clean`, `transgan doctor` and `transgan summary`: what lies about, what this machine has, what was made."""

import logging
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from transgan.config.paths import StageName
from transgan.config.plan import Plan
from transgan.config.plan import load as load_plan
from transgan.pipeline.snakemake_inputs import gpu_count
from transgan.report.layout import DETAILS

logger = logging.getLogger(__name__)


_STATE_STAGES: tuple[StageName, ...] = ("reference", "classifier", "train", "score")
_PACKAGES = ("torch", "torchvision", "torch-fidelity", "snakemake", "dvc", "mlflow", "pandas", "seaborn", "numpy")


def clean(plan: Plan, delete: bool) -> None:
    """List, with their sizes, the state folders that no stage uses (another configuration's work, finished or not); remove them with `delete`."""
    used = _used(plan)
    unused = [folder for folder in _state_folders(plan) if folder not in used]
    for folder in unused:
        print(f"{_size(folder) / 2**20:10.1f} MiB  {folder}")
        if delete:
            _remove(folder)
    verb = (
        "removed"
        if delete
        else "no run uses; `transgan clean --delete` removes them"
        if unused
        else "nothing to remove"
    )
    print(f"{len(unused)} folders {verb}" if unused else verb)


def _remove(folder: Path) -> None:
    """Remove one folder unless a process is at work in it."""
    lock = folder.with_name(f".{folder.name}.lock")
    try:
        with FileLock(lock, timeout=0):
            shutil.rmtree(folder)
        lock.unlink(missing_ok=True)
    except Timeout:
        logger.warning(f"{folder}: in use, kept")


def _used(plan: Plan) -> set[Path]:
    """State folders of every scale of the plan's file: packs are shared, so all scales count."""
    used = set()
    for scale in plan.params.scales:
        other = load_plan(plan.file, scale)
        names: dict[StageName, list[str]] = {
            "prepare": list(other.datasets),
            "reference": list(other.references),
            "classifier": list(other.classifiers),
            "train": list(other.runs),
            "score": list(other.runs),
        }
        used |= {
            other.paths.workspace(stage, name, other.fingerprint(stage, name))
            for stage, all_names in names.items()
            for name in all_names
        }
    return used


def _state_folders(plan: Plan) -> list[Path]:
    folders = [
        folder for stage in _STATE_STAGES for folder in (plan.paths.state / stage).glob("*/*") if folder.is_dir()
    ]
    return sorted(folders + [folder for folder in Path("data/store").glob("*") if folder.is_dir()])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def doctor(plan: Plan) -> None:
    """Print what this machine has and what is missing, a line each."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    free = shutil.disk_usage(".").free / 2**30
    lines = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES),
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GiB memory, {free:.0f} GiB free here, {gpu_count(plan)} NVIDIA GPUs",
        "git": _git_state(),
        "scale": f"{plan.scale_name} of {plan.file}: {plan.scale.description}",
        "mlflow": os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db in this folder"),
        "browser": shutil.which("chromium")
        or shutil.which("google-chrome")
        or "no Chromium: browser tests will be skipped",
    }
    for key, value in lines.items():
        print(f"{key:9} {value}")


def _git_state() -> str:
    git = shutil.which("git")
    if git is None:
        return "not installed: provenance will have no commit, and DVC needs `dvc config core.no_scm true`"
    result = subprocess.run([git, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return result.stdout.strip() or "not a repository: DVC needs `dvc config core.no_scm true`"


def summary(plan: Plan) -> None:
    """Print what the scale has made: every table there is, without the lines on where each number comes from, and where to look next."""
    tables = [plan.paths.table(name).with_suffix(".md") for name in plan.params.tables]
    for path in tables:
        if path.exists():
            print(path.read_text().split(DETAILS)[0])
    results = plan.paths.results
    print(f"Tables: {results / 'tables'}   figures: {results / 'figures'}   samples: {results / 'runs'}/*/samples.png")
    print(
        "Next: `mlflow ui` to compare runs; `transgan plan --scale paper` for the price of the real thing; README.md for the way there."
    )
