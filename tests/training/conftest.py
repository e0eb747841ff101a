"""Projects with a packed dataset, whose run trains in about a second, and the result of an uninterrupted run."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY
from transgan.config import plan as plans
from transgan.data.fetch import fetch
from transgan.data.prepare import prepare
from transgan.pipeline.stages import RUN_FILES
from transgan.tracking.tracker import Tracker
from transgan.training import loop
from transgan.training.train import train
from transgan.utils import files

RUN = "one-cifar10"
HASHED = [name for name in RUN_FILES if name != "provenance.json"]


def make_project(folder: Path, packed: Path, checkpoint_minutes: float) -> Path:
    """A project with packed data; its run takes 8 discriminator steps of 16 images."""
    shutil.copytree(packed / "data", folder / "data")
    text = (
        TINY.read_text()
        .replace("images: 512", "images: 128")
        .replace("log_images: 128", "log_images: 32")
        .replace("first: 128", "first: 32")
    )
    (folder / "params.yaml").write_text(
        text.replace("checkpoint_minutes: 0.02", f"checkpoint_minutes: {checkpoint_minutes:.9f}")
    )
    return folder


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every output that must be reproduced exactly."""
    return {name: files.sha256(folder / "results/tiny/runs" / RUN / name) for name in HASHED}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and no MLflow: see tests/tracking."""
    torch.set_num_threads(1)
    monkeypatch.setattr(loop.TrainingLoop, "_open_tracker", lambda _: Tracker())


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    (folder / "params.yaml").write_text(TINY.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = plans.load()
        fetch(plan, "cifar10")
        prepare(plan, "cifar10")
    return folder


@pytest.fixture
def project(tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh project, as the current directory, that saves a checkpoint after every step."""
    monkeypatch.chdir(tmp_path)
    return make_project(tmp_path, packed, 1e-9)


@pytest.fixture(scope="session")
def uninterrupted(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the outputs of an uninterrupted run that saved at its end only."""
    folder = make_project(tmp_path_factory.mktemp("uninterrupted"), packed, 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(loop.TrainingLoop, "_open_tracker", lambda _: Tracker())
        train(plans.load(), RUN)
    return digests(folder)
