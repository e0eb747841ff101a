"""`transgan resolve` writes what DVC's stages depend on: only what changed, and nothing of this machine."""

import os
from pathlib import Path

import pytest
import yaml

from transgan import cli
from transgan.config import plan as plans
from transgan.config.fingerprint import digest
from transgan.pipeline import resolved_configs
from transgan.pipeline.stages import stages
from transgan.utils import files

FOLDER = Path("results/tiny/config")


def written() -> dict[str, bytes]:
    return {str(path.relative_to(FOLDER)): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}


def edit(*keys: str, value: object) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    Path("params.yaml").write_text(yaml.safe_dump(content))


def test_the_command_writes_one_file_for_every_stage(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["transgan", "resolve"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    graph = stages(plans.load())
    assert set(written()) == {f"{stage.verb}/{stage.name}.json" for stage in graph.values()}
    for stage in graph.values():
        content = files.read_json(FOLDER / stage.verb / f"{stage.name}.json")
        assert content["fingerprint"] == stage.fingerprint == digest(content["ingredients"])


def test_an_edit_changes_the_files_of_the_stages_that_it_concerns(project: Path) -> None:
    resolved_configs.write(plans.load())
    for path in FOLDER.rglob("*.json"):
        os.utime(path, (1, 1))
    before = written()
    edit("runs", "two-cifar10", "seed", value=5)
    resolved_configs.write(plans.load())
    after = written()
    changed = {"train/two-cifar10.json", "score/two-cifar10.json", "table/small.json", "cells/all.json"}
    assert {name for name in before if after[name] != before[name]} == changed
    assert {name for name in after if (FOLDER / name).stat().st_mtime != 1} == changed


def test_comments_names_of_folders_and_settings_of_the_machine_change_nothing(project: Path, tmp_path: Path) -> None:
    resolved_configs.write(plans.load())
    before = written()
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(f"# A comment\n{text}")
    edit("execution", "keep_checkpoints", value=5)
    resolved_configs.write(plans.load())
    assert written() == before
    assert not any(str(tmp_path).encode() in content for content in before.values())


def test_the_file_of_a_stage_that_is_gone_is_removed(project: Path) -> None:
    resolved_configs.write(plans.load())
    before = written()
    edit("tables", "small", "rows", value=[{"name": "One", "runs": {"cifar10": ["one-cifar10"]}}])
    edit("scales", "tiny", "runs", "three-cifar10", value={"skip": True})
    resolved_configs.write(plans.load())
    assert set(before) - set(written()) == {"train/three-cifar10.json", "score/three-cifar10.json"}
