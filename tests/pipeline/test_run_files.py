"""A run's provenance.json is that of the result beside it or of the state folder that computed it; else none."""

import shutil
from pathlib import Path

import pytest

from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.pipeline.run_files import read_provenance
from transgan.pipeline.stages import stage
from transgan.pipeline.workspace import run_stage
from transgan.utils import files

RUN = "one-cifar10"


def train(plan: Plan, commit: str) -> Path:
    """A trained run, whose result and provenance name the commit; the folder with its results."""

    def work(folder: Path) -> None:
        made = stage(plan, "train", RUN)
        for name in made.files:
            files.write_text(folder / name, commit)
        files.write_json(
            folder / "run.json",
            {"run": RUN, "fingerprint": made.fingerprint, "data": "d", "images": 1, "last": commit},
        )
        described = files.sha256(folder / "run.json")
        files.write_json(
            folder / "provenance.json",
            {"started": "then", "finished": "now", "commit": commit, "run_json_sha256": described},
        )

    run_stage(plan, stage(plan, "train", RUN), work, {"data": commit})
    return plan.paths.run(RUN)


def test_provenance_beside_the_result_is_read(project: Path) -> None:
    plan = plans.load()
    train(plan, "a" * 40)
    shutil.rmtree("state")
    assert read_provenance(plan, RUN)["commit"] == "a" * 40


def test_provenance_that_dvc_did_not_restore_is_read_from_the_state_folder(project: Path) -> None:
    plan = plans.load()
    (train(plan, "a" * 40) / "provenance.json").unlink()
    assert read_provenance(plan, RUN)["commit"] == "a" * 40


@pytest.mark.parametrize("has_state", [True, False])
def test_provenance_of_another_result_does_not_count(project: Path, has_state: bool) -> None:
    """As after `dvc checkout` of an older commit, or `dvc pull` of another machine's result."""
    plan = plans.load()
    folder = train(plan, "a" * 40)
    older = (folder / "run.json").read_bytes()
    shutil.rmtree("state")
    shutil.rmtree("results")
    train(plan, "b" * 40)
    if not has_state:
        shutil.rmtree("state")
    (folder / "run.json").unlink()
    (folder / "run.json").write_bytes(older)
    assert read_provenance(plan, RUN) == {}


def test_without_a_result_there_is_none(project: Path) -> None:
    assert read_provenance(plans.load(), RUN) == {}
