"""A GPU session: its budget, steps that fail or hang, and a dry run of everything as users start it."""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import gpu_session
import pytest
from gpu_page import gpu_part
from gpu_session import Session, Step

from tests.benchmarks.fixtures import images_tar, inception_weights, wheel
from tests.conftest import ROOT

MIB = 2**20
# Packages that a machine with PyTorch may lack and that do not travel.
ABSENT = ("mlflow", "snakemake", "dvc", "lmdb")
BLOCKER = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def new_session(folder: Path, budget: float, packed: Path | None = None) -> Session:
    out = folder / "out"
    out.mkdir()
    given = {"out": out, "packed": packed, "device": "cpu", "dry_run": True, "budget": budget}
    return Session(argparse.Namespace(**given), folder)


def test_each_step_gets_its_share_of_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, limits = [0.0], {}
    used = {"first": 2.0, "second": 23.0, "rest": 30.0, "last": 1.0}
    monkeypatch.setattr(gpu_session.time, "monotonic", lambda: now[0])
    session = new_session(tmp_path, 100)

    def fake(step: Step, limit: float) -> dict[str, object]:
        limits[step.name] = limit
        now[0] += used[step.name]
        return {"status": "ok", "seconds": used[step.name]}

    monkeypatch.setattr(session, "_run_step", fake)
    session.run([Step("first", 10), Step("second", 20), Step("rest", 30, rest=True), Step("last", 40)])
    assert limits["first"] == pytest.approx(10)
    assert limits["second"] == pytest.approx(98 * 20 / 90)
    assert limits["rest"] == pytest.approx(75 - 40)
    assert limits["last"] == pytest.approx(45)


@pytest.mark.parametrize("step", gpu_session.STEPS, ids=lambda step: step.name)
def test_every_step_finds_what_it_imports_of_the_product(step: Step) -> None:
    assert callable(importlib.import_module(f"gpu.{step.name}").run)


def test_the_page_tells_every_step_and_its_share_of_the_budget() -> None:
    assert sum(step.box for step in gpu_session.STEPS) == gpu_session.BUDGET
    page = (ROOT / "docs" / "performance.md").read_text()
    for step in gpu_session.STEPS:
        assert f"| {step.name.replace('_', ' ')} | {'the rest' if step.rest else f'{step.box:g}'} |" in page


def test_a_step_without_time_or_images_is_skipped(tmp_path: Path) -> None:
    session = new_session(tmp_path, 20)
    session.run([Step("real_run", 10, needs_images=True), Step("scoring", 10, least=25)])
    steps = session.content["steps"]
    assert steps["real_run"]["summary"] == "no packed images (--packed)"
    assert steps["scoring"]["summary"] == "only 20 s are left"
    assert {step["status"] for step in steps.values()} == {"skipped"}


def test_steps_that_fail_or_hang_do_not_keep_the_next_from_running(tmp_path: Path) -> None:
    session = new_session(tmp_path, 60)
    session.run([Step("no_such_step", 30), Step("ceilings", 0.01, least=0), Step("no_such_step_either", 30)])
    written = json.loads((tmp_path / "out" / "session.json").read_text())["steps"]
    assert {name: step["status"] for name, step in written.items()} == {
        "no_such_step": "failed",
        "ceilings": "timeout",
        "no_such_step_either": "failed",
    }
    assert "No module named gpu.no_such_step" in (tmp_path / "out" / "session.log").read_text()


def test_a_step_is_killed_with_everything_it_has_started(tmp_path: Path) -> None:
    command = ["bash", "-c", "sleep 100 & echo $!; wait"]
    start = time.monotonic()
    assert gpu_session.run_limited(command, 1.0, tmp_path / "log", dict(os.environ)) is None
    assert time.monotonic() - start < 30
    child = Path("/proc") / (tmp_path / "log").read_text().strip()
    for _ in range(50):  # until its new parent has noticed
        if not child.exists() or "Z" in (child / "stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    raise AssertionError("the step's child still runs")


@pytest.mark.slow
@pytest.mark.timeout(3600)  # two minutes on two free cores
def test_a_dry_run_goes_through_every_step(tmp_path: Path) -> None:
    wheels, blocker, out = tmp_path / "wheels", tmp_path / "blocker", tmp_path / "out"
    wheels.mkdir()
    blocker.mkdir()
    wheel(wheels)
    (blocker / "sitecustomize.py").write_text(BLOCKER)
    images, weights = images_tar(tmp_path / "images.tar"), inception_weights(tmp_path / "weights.pth")
    scripts, packed = ROOT / "benchmarks", tmp_path / "packed"
    sources = ["--images", images, "--inception", weights, "--wheels", wheels]
    subprocess.run([sys.executable, scripts / "pack_for_gpu.py", *sources, "--out", packed], check=True)
    done = subprocess.run(
        [sys.executable, scripts / "gpu_session.py", "--dry-run", "--device", "cpu", "--packed", packed, "--out", out],
        env={**os.environ, "PYTHONPATH": str(blocker)},
        capture_output=True,
        text=True,
        check=False,
    )
    log = (out / "session.log").read_text()
    assert done.returncode == 0, done.stderr + log
    session = json.loads((out / "session.json").read_text())
    assert {name: step["status"] for name, step in session["steps"].items()} == {
        step.name: "ok" for step in gpu_session.STEPS
    }, log

    # The machine was like one with PyTorch alone, and the package that travelled was installed.
    environment = session["steps"]["environment"]
    assert all(environment["modules"][name].startswith("missing") for name in ABSENT)
    assert environment["wheels"] == [path.name for path in wheels.iterdir()]
    assert environment["prepared"]["images"] == session["packed"]["images"] == 80
    assert session["steps"]["scoring"]["title"] == "FID-768"

    # No more and no larger files than may come back.
    files = list(out.rglob("*"))
    assert {path.name for path in files} == {
        *("session.json", "session.log", "tests-fast.xml", "tests-slow.xml"),
        *("history.csv", "samples.png", "samples.npz"),
    }
    assert all(path.stat().st_size < 16 * MIB for path in files)

    # A page of it shows every step, and that nothing was measured.
    page = gpu_part(session)
    assert page.startswith("**The following is from a dry run on cpu.")
    assert all(f"| {name.replace('_', ' ')} | ok |" in page for name in session["steps"])
