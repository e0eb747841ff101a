"""Which params file is read where, and what the list of a project's files names."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY
from transgan.config import params_file, plan, project_files
from transgan.errors import UserError


def test_the_files_are_those_of_the_checkout_and_all_of_them_are_there() -> None:
    names = {str(name) for name in project_files.names()}
    assert {
        "params.yaml",
        "dvc.yaml",
        ".gitignore",
        ".dvc/config",
        ".dvc/plots/runs.json",
        "workflow/Snakefile",
    } <= names
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "workflow").rglob("*.smk")} <= names
    assert all((ROOT / name).is_file() for name in names)


def test_without_a_project_the_shipped_params_file_is_read_at_scale_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = plan.load()
    assert loaded.outside_a_project
    assert loaded.file.read_bytes() == (ROOT / "params.yaml").read_bytes()
    assert loaded.scale_name == "paper"
    assert plan.load(scale="demo").scale_name == "demo"
    assert "--params" not in loaded.command("plan")


def test_in_a_project_its_own_params_file_is_read(project: Path) -> None:
    loaded = plan.load()
    assert not loaded.outside_a_project
    assert (loaded.file, loaded.scale_name) == (Path("params.yaml"), "tiny")


def test_a_params_file_that_cannot_be_read_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").symlink_to("nowhere")
    with pytest.raises(UserError, match="not there"):
        plan.load()


def test_a_named_params_file_keeps_its_own_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = plan.load(ROOT / "params.yaml")
    assert (loaded.outside_a_project, loaded.scale_name) == (False, "demo")
    assert plan.load(TINY).scale_name == "tiny"


def test_a_package_without_these_files_asks_for_a_params_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project_files, "PACKAGE", tmp_path / "lib" / "transgan")
    assert params_file.default_file() == params_file.PARAMS_FILE
    with pytest.raises(UserError, match="transgan init DIR"):
        plan.load()
