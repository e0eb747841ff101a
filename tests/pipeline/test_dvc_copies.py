"""In DVC's copy of a project, work is stored in the project itself."""

from pathlib import Path

import pytest
import typer.testing

from transgan import cli
from transgan.config import plan as plans
from transgan.pipeline.dvc_copies import SHARED, original, share_state
from transgan.pipeline.params_register import registered
from transgan.pipeline.stages import stage
from transgan.pipeline.workspace import run_stage
from transgan.utils import files

RUN = "one-cifar10"


@pytest.fixture(params=["standalone/tmpx1", "tmpx2"], ids=["temp", "queue"])
def copy(request: pytest.FixtureRequest, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of the project where DVC makes one, without what git ignores."""
    folder = project / ".dvc" / "tmp" / "exps" / request.param
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    monkeypatch.chdir(folder)
    return folder


def test_only_a_copy_has_an_original(project: Path, copy: Path) -> None:
    assert original(copy) == project
    assert original(project) is None
    assert original(project / ".dvc" / "tmp") is None


def test_work_in_the_copy_is_stored_in_the_project(project: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_state()
    plan = plans.load()
    training = stage(plan, "train", RUN)
    run_stage(
        plan, training, lambda folder: [files.write_text(folder / name, "made") for name in training.files] and None
    )
    assert (copy / training.outputs[0]).read_text() == "made"
    monkeypatch.chdir(project)
    assert not run_stage(plans.load(), training, lambda folder: pytest.fail("worked again"))
    assert (project / training.outputs[0]).read_text() == "made"


def test_the_register_does_not_name_the_copy(project: Path, copy: Path) -> None:
    share_state()
    plan = plans.load()
    scoring = stage(plan, "score", RUN)
    run_stage(plan, scoring, lambda folder: [files.write_text(folder / name, "") for name in scoring.files] and None)
    assert registered(project / "state") == []


def test_a_folder_that_is_there_already_is_left_alone(project: Path, copy: Path) -> None:
    files.write_text(copy / "state" / "own", "")
    share_state()
    share_state()
    assert not (copy / "state").is_symlink()
    assert [(copy / folder).resolve() for folder in SHARED[1:]] == [project / folder for folder in SHARED[1:]]


def test_a_project_gets_no_links(project: Path) -> None:
    before = sorted(project.rglob("*"))
    share_state()
    assert sorted(project.rglob("*")) == before


def test_every_verb_of_a_stage_shares_the_state(project: Path, copy: Path) -> None:
    typer.testing.CliRunner().invoke(cli.app, ["resolve"], catch_exceptions=False)
    assert (copy / "state").resolve() == project / "state"
