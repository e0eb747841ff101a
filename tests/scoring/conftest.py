"""A tiny project that is ready to be scored: packed digits, a classifier (few epochs) and an untrained generator."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import TINY
from transgan.config import plan
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey
from transgan.data import fetch, prepare
from transgan.models import build_generator
from transgan.models.serialization import save_generator
from transgan.scoring import classifier, reference
from transgan.utils import files

RUN, REFERENCE = "one-cifar10", ReferenceKey("cifar10", "few")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def write_params(folder: Path, **changes: Any) -> Path:
    """Write the tiny params file with fewer epochs of the classifier, and `changes` merged into protocol `few`."""
    content = yaml.safe_load(TINY.read_text())
    content["classifiers"]["digits"] |= {"epochs": 2, "accuracy": 0.5}
    content["protocols"]["few"] |= changes
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def save_untrained(current: Plan, run_name: str = RUN) -> Path:
    run = current.run(run_name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build_generator(run.model.generator)
    folder = current.paths.run(run_name)
    save_generator(folder / "generator.safetensors", module, run.model.generator, {"images": 0})
    manifest = files.read_json(current.paths.data(run.dataset_name) / "manifest.json")
    files.write_json(
        folder / "run.json",
        {"fingerprint": current.fingerprint("train", run_name), "images": 0, "data": manifest["sha256"]},
    )
    return folder / "generator.safetensors"


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with pack, classifier, reference and an untrained generator. Tests use a copy (`project`)."""
    folder = tmp_path_factory.mktemp("scoring")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_params(folder)
        current = plan.load()
        for dataset in ("digits", "cifar10"):
            fetch.fetch(current, dataset)
            prepare.prepare(current, dataset)
        classifier.train(current, "digits")
        reference.compute(current, REFERENCE)
        save_untrained(current)
    return folder


@pytest.fixture
def project(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the ready project; the current directory."""
    folder = tmp_path / "project"
    shutil.copytree(ready, folder)
    monkeypatch.chdir(folder)
    return folder
