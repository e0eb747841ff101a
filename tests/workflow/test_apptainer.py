"""`--sdm apptainer`: each rule runs in the image with the image's tools, this checkout's code and what the user adds.

A stand-in for Apptainer records how it is called and runs the command without a container: real images need an engine.
"""

import os
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT
from .conftest import Project, make_project

pytestmark = pytest.mark.slow

# Like Apptainer, it resets PATH: here to a folder with the image's `transgan`, which says that it was called.
APPTAINER = """#!/bin/bash
if [ "$1" = --version ]; then echo "apptainer version 1.3.6"; exit 0; fi
echo "$@" >> {folder}/calls
while [ "$1" != "-c" ]; do shift; done
PATH={folder}/image:/usr/bin:/bin exec bash -c "$2"
"""
TRANSGAN = """#!/bin/bash
echo "$PYTHONPATH" >> {folder}/pythonpath
exec {python} -m transgan "$@"
"""
TARGET = "data/tiny/digits/source.json"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "bin").mkdir()
    (tmp_path / "image").mkdir()
    for name, text in (("bin/apptainer", APPTAINER), ("image/transgan", TRANSGAN)):
        path = tmp_path / name
        path.write_text(text.format(folder=tmp_path, python=sys.executable))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("TRANSGAN_CONTAINER", raising=False)
    return make_project(tmp_path / "project")


def test_a_rule_runs_in_the_image_with_its_tools_and_the_code_of_the_checkout(project: Project, tmp_path: Path) -> None:
    image = project.root / "transgan.sif"
    image.touch()
    project.run("snakemake", "--sdm", "apptainer", "--apptainer-args=--nv", "--cores", "1", TARGET)
    call = (tmp_path / "calls").read_text()
    assert call.split()[:2] == ["exec", "--home"]
    assert str(project.root) in call
    assert " --nv " in call
    assert " transgan.sif bash -c " in call
    assert str(Path(sys.executable).parent) not in call  # the tools of this machine may not work in the image
    path = (tmp_path / "pythonpath").read_text().strip().split(":")
    assert path[0] == str(project.root)
    assert str(ROOT) in path  # what the user's environment says, which Apptainer passes on
    assert (project.root / TARGET).is_file()


def test_without_the_option_no_image_is_needed(project: Project, tmp_path: Path) -> None:
    project.run("snakemake", "--cores", "1", TARGET)
    assert not (tmp_path / "calls").exists()


def test_a_missing_image_is_named_with_the_command_that_builds_it(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = project.run("snakemake", "--sdm", "apptainer", "--cores", "1", TARGET, check=False)
    assert "transgan.sif: not there; `apptainer build --fakeroot transgan.sif containers/transgan.def`" in output
    assert not (tmp_path / "calls").exists()
    monkeypatch.setenv("TRANSGAN_CONTAINER", "elsewhere.sif")
    assert "elsewhere.sif: not there" in project.run(
        "snakemake", "--sdm", "apptainer", "--cores", "1", TARGET, check=False
    )


def test_snakemakes_linter_finds_software_for_every_rule(project: Project) -> None:
    output = project.run("snakemake", "--lint", check=False)
    assert "conda environment" not in output
