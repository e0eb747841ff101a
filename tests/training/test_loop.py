"""Whole runs: outputs, resuming after crashes and signals, damaged checkpoints, divergence."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
import yaml

from tests.training.conftest import RUN, digests, make_project
from transgan.config import plan as plans
from transgan.errors import Diverged, UserError
from transgan.models.serialization import load_generator
from transgan.training.step import Trainer
from transgan.training.train import train
from transgan.utils import files
from transgan.utils.exit_codes import Stopped


class Crash(BaseException):
    """Stands for the end of the process: no code of the package catches it."""


def crash() -> None:
    raise Crash


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, action) -> None:
    """Call `action` once, at the end of step `step`."""
    training_step = Trainer.training_step

    def step_and_act(self, *arguments):
        training_step(self, *arguments)
        if self.step == step:
            monkeypatch.setattr(Trainer, "training_step", training_step)
            action()

    monkeypatch.setattr(Trainer, "training_step", step_and_act)


def crash_at_step(monkeypatch: pytest.MonkeyPatch, step: int) -> Path:
    """Train until a crash after `step` steps; returns the state folder."""
    at_step(monkeypatch, step, crash)
    with pytest.raises(Crash):
        train(plans.load(), RUN)
    return next(Path().glob(f"state/tiny/train/{RUN}/*/"))


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*.pt"))


def test_a_run_writes_every_output(project):
    train(plans.load(), RUN)
    results = project / "results/tiny/runs" / RUN
    run = json.loads((results / "run.json").read_text())
    assert (run["images"], run["steps"], run["full_images"], run["seed"]) == (128, 8, 128, 0)
    assert run["fingerprint"] == plans.load().fingerprint("train", RUN)
    with safetensors.safe_open(results / "generator.safetensors", "pt") as file:
        assert list(file.metadata()) == ["transgan"]
        assert json.loads(file.metadata()["transgan"])["images"] == 128
    rows = list(csv.DictReader((results / "history.csv").open()))
    assert list(rows[0])[:6] == ["images", "step", "d_loss", "g_loss", "gap", "gradient_penalty"]
    assert [int(row["images"]) for row in rows] == [32, 64, 96, 128]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    with np.load(results / "dynamics.npz") as dynamics:
        assert dynamics["images"].tolist() == [0, 32, 128]
        assert dynamics["pictures"].shape == (3, 16, 8, 8, 3)
        assert dynamics["attention_distance"].shape == (3, 3, 4)
        assert (dynamics["pictures"][0] != dynamics["pictures"][2]).any()


def test_a_run_on_normalized_latents_writes_a_generator_that_normalizes_them(project):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("    images: 128\n", "    images: 128\n    normalize_latent: true\n", 1))
    assert plans.load().run(RUN).recipe.normalize_latent
    train(plans.load(), RUN)
    generator = load_generator(project / "results/tiny/runs" / RUN / "generator.safetensors").module
    z = torch.randn(4, generator.latent, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(4, generator.noise_width) if generator.noise_width else None
    with torch.inference_mode():
        torch.testing.assert_close(generator(5 * z, noise), generator(z, noise), atol=1e-4, rtol=1e-4)
        generator.normalize_latent = False
        assert not torch.allclose(generator(5 * z, noise), generator(z, noise), atol=1e-2)


@pytest.mark.parametrize("step", [1, 2, 5, 8])
def test_a_crashed_run_resumes_to_the_same_bytes(project, uninterrupted, monkeypatch, step):
    folder = crash_at_step(monkeypatch, step)
    assert len(checkpoints(folder)) == min(step - 1, 2)
    train(plans.load(), RUN)
    assert digests(project) == uninterrupted


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_saves_and_resumes_to_the_same_bytes(project, uninterrupted, monkeypatch, capsys, signum):
    text = (project / "params.yaml").read_text().replace("checkpoint_minutes: 0.000000001", "checkpoint_minutes: 1000")
    (project / "params.yaml").write_text(text)
    at_step(monkeypatch, 4, lambda: os.kill(os.getpid(), signum))
    with pytest.raises(Stopped) as stop:
        train(plans.load(), RUN)
    assert stop.value.code == 128 + signum
    assert f"received {signum.name}; saved at 64 images; run the same command to resume" in capsys.readouterr().err
    train(plans.load(), RUN)
    assert "resumes from 64 of 128 images" in capsys.readouterr().err
    assert digests(project) == uninterrupted


def test_a_damaged_checkpoint_is_skipped_with_a_warning(project, uninterrupted, monkeypatch, capsys):
    folder = crash_at_step(monkeypatch, 6)
    newest = checkpoints(folder)[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    train(plans.load(), RUN)
    messages = capsys.readouterr().err
    assert f"{newest}: damaged" in messages
    assert "resumes from 64 of" in messages
    assert digests(project) == uninterrupted


def test_if_all_checkpoints_are_damaged_none_is_deleted(project, monkeypatch):
    folder = crash_at_step(monkeypatch, 6)
    for path in checkpoints(folder):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{folder}: all 2 checkpoints are damaged"):
        train(plans.load(), RUN)
    assert len(checkpoints(folder)) == 2


def test_a_checkpoint_of_another_run_is_refused(project, monkeypatch):
    folder = crash_at_step(monkeypatch, 3)
    plan = plans.load()
    other = plan.paths.workspace("train", "two-cifar10", plan.fingerprint("train", "two-cifar10"))
    for path in folder.glob("checkpoint-*"):
        files.link_or_copy(path, other / path.name)
    with pytest.raises(UserError, match="belongs to fingerprint"):
        train(plan, "two-cifar10")


def test_a_full_disk_leaves_the_previous_checkpoints(project, uninterrupted, monkeypatch):
    def full(path: Path) -> None:
        if path.name.startswith(".checkpoint-000000000080"):
            raise OSError(errno.ENOSPC, "No space left on device")

    flush = files._flush
    monkeypatch.setattr(files, "_flush", full)
    with pytest.raises(UserError, match="No space left on device"):
        train(plans.load(), RUN)
    folder = next(Path().glob(f"state/tiny/train/{RUN}/*/"))
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-000000000048.pt", "checkpoint-000000000064.pt"]
    assert not list(folder.glob(".*.tmp"))
    monkeypatch.setattr(files, "_flush", flush)
    train(plans.load(), RUN)
    assert digests(project) == uninterrupted


@pytest.mark.parametrize(
    ("change", "reason"),
    [("gap_limit: 1.0e-9", "exceeds recipe.gap_limit"), ("discriminator: {lr: 1.0e+30}", "is nan")],
)
def test_divergence_stops_the_run_before_its_state_is_saved(project, change, reason):
    text = (project / "params.yaml").read_text().replace("    batch: 16\n", f"    batch: 16\n    {change}\n")
    (project / "params.yaml").write_text(text)
    with pytest.raises(Diverged, match=reason):
        train(plans.load(), RUN)
    assert not (project / "results/tiny/runs" / RUN).exists()


def test_a_finished_run_is_published_without_importing_torch(project):
    train(plans.load(), RUN)
    (project / "results/tiny/runs" / RUN / "run.json").unlink()
    check = f"""
import sys
from transgan.config import plan
from transgan.training.train import train
train(plan.load(), {RUN!r})
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", check], check=True)
    assert (project / "results/tiny/runs" / RUN / "run.json").exists()


def test_a_run_with_co_training_gives_the_same_bytes_after_an_interruption(packed, tmp_path, monkeypatch):
    """The super-resolution term ends after 64 of 128 images, and the run is interrupted before and after that."""
    folders = [tmp_path / "whole", tmp_path / "interrupted"]
    for folder, minutes in zip(folders, (1000, 1e-9), strict=True):
        file = make_project(folder, packed, minutes) / "params.yaml"
        content = yaml.safe_load(file.read_text())
        content["models"]["small"]["generator"]["image_input"] = True
        term = {"kind": "super_resolution", "net": "generator", "weight": 50.0, "until": 64}
        content["recipes"]["short"]["regularizers"]["super_resolution"] = term
        file.write_text(yaml.safe_dump(content, sort_keys=False))
    monkeypatch.chdir(folders[0])
    train(plans.load(), RUN)
    monkeypatch.chdir(folders[1])
    crash_at_step(monkeypatch, 3)
    crash_at_step(monkeypatch, 6)
    train(plans.load(), RUN)
    assert digests(folders[1]) == digests(folders[0])
    rows = list(csv.DictReader((folders[1] / "results/tiny/runs" / RUN / "history.csv").open()))
    errors = [row["super_resolution"] for row in rows]
    assert all(float(error) > 0 for error in errors[:2])
    assert errors[2:] == ["", ""]
    saved = load_generator(folders[1] / "results/tiny/runs" / RUN / "generator.safetensors")
    assert saved.module.image_side == 2
