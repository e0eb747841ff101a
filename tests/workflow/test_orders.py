"""Snakemake and DVC in any order, edits and reverts, deleted outputs, checkouts and clones.

Only what changed runs again, and nothing is lost. The tests run in file order and build on each other's state.
"""

import re
import shutil
from pathlib import Path

import pytest

from .conftest import Project, make_project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("orders")]

EDIT = ("protocol: few, seed: 1}", "protocol: few, seed: 5}")


def test_snakemake_makes_everything_once(checkout: Project) -> None:
    assert len(checkout.work("train")) == 3
    assert len(checkout.work("score")) == 3
    table = (checkout.root / "results/tiny/tables/small.md").read_text()
    assert "Both seeds" in table
    assert "not comparable" in table
    work = checkout.work("train")
    assert "Nothing to be done" in checkout.snakemake()
    assert checkout.work("train") == work


def test_dvc_takes_over_without_training(checkout: Project) -> None:
    work, made = {**checkout.work("train"), **checkout.work("score")}, checkout.bytes()
    checkout.dvc("repro")
    assert {**checkout.work("train"), **checkout.work("score")} == work
    assert checkout.bytes() == made
    assert "up to date" in checkout.dvc("repro")


def test_snakemake_has_nothing_to_do_after_dvc(checkout: Project) -> None:
    assert "Nothing to be done" in checkout.snakemake()
    shutil.rmtree(checkout.root / ".snakemake")
    assert "Nothing to be done" in checkout.snakemake()


def test_an_edit_of_one_run_trains_that_run_only(checkout: Project) -> None:
    work, made = checkout.work("train"), checkout.bytes()
    checkout.edit(*EDIT)
    checkout.snakemake()
    assert len(set(checkout.work("train").items()) - set(work.items())) == 1
    after = checkout.bytes()
    changed = {path for path in made if made[path] != after[path]}
    run = "results/tiny/runs/two-cifar10"
    assert changed <= {
        f"{run}/{name}" for name in ("generator.safetensors", "run.json", "history.csv", "samples.png", "dynamics.npz")
    } | {
        "results/tiny/scores/two-cifar10.json",
        "results/tiny/metrics/two-cifar10.json",
        *(f"results/tiny/tables/small.{suffix}" for suffix in ("csv", "md", "tex")),
        "results/tiny/cells.csv",
    }
    assert {
        f"{run}/generator.safetensors",
        "results/tiny/scores/two-cifar10.json",
        "results/tiny/tables/small.csv",
        "results/tiny/cells.csv",
    } <= changed
    assert "Nothing to be done" in checkout.snakemake()


def test_the_revert_trains_nothing(checkout: Project) -> None:
    work = {**checkout.work("train"), **checkout.work("score")}
    checkout.edit(*reversed(EDIT))
    checkout.dvc("repro")
    assert {**checkout.work("train"), **checkout.work("score")} == work
    assert "Nothing to be done" in checkout.snakemake()


def test_deleted_outputs_come_back_without_work(checkout: Project) -> None:
    work, made = {**checkout.work("train"), **checkout.work("score"), **checkout.work("reference")}, checkout.bytes()
    shutil.rmtree(checkout.root / "results")
    checkout.snakemake()
    assert {**checkout.work("train"), **checkout.work("score"), **checkout.work("reference")} == work
    assert checkout.bytes() == made


def test_dvc_checkout_and_restore(checkout: Project) -> None:
    work, made = checkout.work("train"), checkout.bytes()
    checkout.dvc("repro")
    shutil.rmtree(checkout.root / "results")
    checkout.run("dvc", "checkout")
    checkout.run("make", "restore", "STAMP=")
    assert checkout.bytes() == made
    assert "Nothing to be done" in checkout.snakemake()
    assert checkout.work("train") == work


def test_a_clone_pulls_everything_and_trains_nothing(checkout: Project, tmp_path: Path) -> None:
    """`dvc push` to a local remote, a fresh clone, `make restore`: every table is there without training."""
    remote = tmp_path / "remote"
    checkout.dvc("remote", "add", "-f", "-d", "lab", str(remote))
    checkout.dvc("push")
    checkout.run("git", "add", "-A")
    checkout.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "Results")
    clone = Project(tmp_path / "clone")
    checkout.run("git", "clone", "-q", str(checkout.root), str(clone.root))
    clone.run("make", "restore", "STAMP=")
    assert clone.bytes() == checkout.pushed_bytes()
    assert "Nothing to be done" in clone.snakemake()
    assert "pipelines are up to date" in clone.dvc("repro", "--allow-missing", "--dry")
    assert clone.work("train") == {}


def test_dvc_first_then_snakemake(tmp_path: Path, checkout: Project) -> None:
    """The other order, from a fresh checkout: the same bytes."""
    other = make_project(tmp_path / "other")
    other.dvc("repro")
    work = other.work("train")
    assert len(work) == 3
    assert "Nothing to be done" in other.snakemake()
    assert other.work("train") == work
    assert other.bytes() == checkout.bytes()


def test_a_finished_run_is_extended_once_and_both_front_ends_take_it(checkout: Project) -> None:
    """`transgan train RUN --extend` after an edit of `images`; then only what follows from the run is computed."""
    checkout.edit("seed: 1}", "seed: 1, changes: {recipe: {images: 640}}}")
    work, scores = checkout.work("train"), checkout.work("score")
    output = checkout.run("transgan", "train", "two-cifar10", "--extend")
    assert "continues the run of 512 images" in output
    extended = checkout.work("train")
    assert len(set(extended.items()) - set(work.items())) == 1
    planned = checkout.snakemake("--dry-run", "--quiet", "rules")
    assert re.search(r"^score +1$", planned, re.MULTILINE)
    assert not re.search(r"^train", planned, re.MULTILINE)
    checkout.snakemake()
    checkout.dvc("repro")
    assert checkout.work("train") == extended
    assert len(set(checkout.work("score").items()) - set(scores.items())) == 1
    assert "Nothing to be done" in checkout.snakemake()
