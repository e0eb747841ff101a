"""Fixtures of the data tests: a plan that has datasets only, an archive of images, and a dataset ready to be packed.

The current directory is an empty project folder.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.sample_archives import encode, pixels, tar_bytes
from transgan.config.plan import Plan
from transgan.data.fetch import fetch
from transgan.data.pack import Pack
from transgan.data.prepare import prepare
from transgan.schema import Params

MakePlan = Callable[..., Plan]
OUTPUTS = ("images.npy", "labels.npy", "manifest.json", "contact.png")
IMPORTS = """
import sys, time
from pathlib import Path
from transgan.data import packing
from transgan.data.prepare import prepare
from transgan.config.plan import Plan
from transgan.schema import Params
"""
# Peak memory from /proc: ru_maxrss survives exec, so it would include the peak of the testing process.
PREPARE = """
prepare(Plan(Params.model_validate_json(sys.argv[1]), "small", Path("params.yaml")), "mine")
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.fixture
def make_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """Return make_plan(datasets, mirror=None) -> Plan at the scale `small`."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)

    def make(datasets: dict[str, Any], mirror: str | Path | None = None) -> Plan:
        nothing: dict[str, Any] = {kind: {} for kind in ("models", "recipes", "protocols", "classifiers", "runs")}
        scale = {"description": "tests", "comparable": False, **nothing, "datasets": {name: {} for name in datasets}}
        content = {
            "scale": "small",
            "scales": {"small": scale},
            **nothing,
            "datasets": datasets,
            "tables": {},
            "figures": {},
        }
        params = Params.model_validate({**content, "data": {"mirror": str(mirror) if mirror else None}})
        return Plan(params, "small", Path("params.yaml"))

    return make


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Return a tar of 600 images; image i is pixels(i % 50, ...)."""
    distinct = [encode(pixels(i, 24, 20), "PNG") for i in range(50)]
    path = tmp_path / "photographs.tar"
    path.write_bytes(tar_bytes({f"{i:04d}.png": distinct[i % 50] for i in range(600)}, "w"))
    return path


def folder_dataset(path: Path, count: int, **options: Any) -> dict[str, Any]:
    """Return the `datasets` of a plan with one dataset `mine`, whose source is a folder or archive."""
    return {
        "mine": {
            "source": "folder",
            "path": str(path),
            "resolution": 16,
            "splits": [{"name": "train", "count": count}],
            **options,
        }
    }


def fetch_and_prepare(plan: Plan, dataset: str) -> Pack:
    """Run both stages of a dataset and open its pack."""
    fetch(plan, dataset)
    prepare(plan, dataset)
    return Pack.open(plan.paths.data(dataset))


def output_bytes(plan: Plan, dataset: str) -> dict[str, bytes]:
    """Return {file name: content} of the outputs of `prepare`."""
    return {name: (plan.paths.data(dataset) / name).read_bytes() for name in OUTPUTS}


def run_in_process(code: str, plan: Plan) -> subprocess.Popen[str]:
    """Start a Python process that runs `code` with the plan's parameters as its argument."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", code, plan.params.model_dump_json()], env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def fetched(make_plan: MakePlan, photographs: Path) -> tuple[Plan, dict[str, bytes]]:
    """Return a plan whose dataset `mine` is fetched but not packed, and the expected outputs of `prepare`."""
    plan = make_plan(folder_dataset(photographs, 600))
    fetch_and_prepare(plan, "mine")
    expected = output_bytes(plan, "mine")
    Path("data/store").rename("data/store-whole")
    for name in OUTPUTS:
        (plan.paths.data("mine") / name).unlink()
    return plan, expected
