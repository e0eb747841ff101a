"""Freshness depends on what outputs carry, not on file times, and staleness spreads down the graph."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.pipeline.freshness import embedded_metadata, freshness, remember
from transgan.pipeline.snakemake_inputs import config_files, gpu_count
from transgan.pipeline.stages import PACK_FILES, Stage, stage, stages
from transgan.pipeline.workspace import mark_finished
from transgan.utils import files


def fabricate(plan: Plan, target: Stage, **content: Any) -> None:
    """Write outputs of a stage that carry the same metadata as real ones."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    content = {"fingerprint": target.fingerprint, **content}
    for path in target.outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            files.write_json(path, content)
        elif path.suffix == ".npz":
            np.savez(path, about=np.array(files.dumps(content)))
        elif path.suffix == ".safetensors":
            save_file({"x": torch.zeros(1)}, path, metadata={"transgan": files.dumps(content)})
        else:
            path.write_text("x")


def fabricate_all(plan: Plan) -> None:
    for target in stages(plan).values():
        data = {"digest": "d", "source": "d", "sha256": "s", "data": "s"}
        fabricate(plan, target, **data)
        if target.verb in ("table", "cells", "figure"):
            remember(plan, target)


def fresh(plan: Plan) -> dict[str, str]:
    return dict(freshness(plan, stages(plan)))


def test_no_outputs_are_missing_and_all_outputs_are_current(project: Path) -> None:
    plan = plans.load()
    assert set(fresh(plan).values()) == {"missing"}
    fabricate_all(plan)
    assert set(fresh(plan).values()) == {"current"}


def test_an_edit_makes_one_run_and_its_dependents_stale(project: Path) -> None:
    fabricate_all(plans.load())
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["runs"]["two-cifar10"]["seed"] = 7
    Path("params.yaml").write_text(yaml.safe_dump(content))
    stale = {key for key, value in fresh(plans.load()).items() if value == "stale"}
    assert stale == {"train@two-cifar10", "score@two-cifar10", "table@small", "cells@all"}


def test_scores_of_a_result_that_was_computed_again_with_other_bytes_are_stale(project: Path) -> None:
    plan = plans.load()
    fabricate_all(plan)

    def state(verb: Any, file: str, content: dict[str, Any]) -> None:
        files.write_json(
            plan.paths.workspace(verb, "one-cifar10", plan.fingerprint(verb, "one-cifar10")) / file, content
        )

    generator = plan.paths.run("one-cifar10") / "generator.safetensors"
    small = {"generator.safetensors": files.sha256(generator)}
    state("score", "ingredients.json", {"ingredients": {}, "inputs": {"generator": small["generator.safetensors"]}})
    state("train", "finished.json", {"outputs": small, "sizes": {}})
    assert set(fresh(plan).values()) == {"current"}
    state("score", "ingredients.json", {"ingredients": {}, "inputs": {"generator": "1" * 64}})
    stale = {key for key, value in fresh(plan).items() if value == "stale"}
    assert stale == {"score@one-cifar10", "table@small", "cells@all"}


def test_changed_images_make_all_their_dependents_stale(project: Path) -> None:
    plan = plans.load()
    fabricate_all(plan)
    source = stage(plan, "fetch", "cifar10").outputs[0]
    files.write_json(source, {**files.read_json(source), "digest": "other"})
    stale = {key for key, value in fresh(plan).items() if value == "stale"}
    assert {
        "prepare@cifar10",
        "reference@cifar10-few",
        "train@one-cifar10",
        "score@one-cifar10",
        "table@small",
    } <= stale
    assert not {"prepare@digits", "classifier@digits"} & stale


def test_a_deleted_output_is_missing_and_affects_no_other_stage(project: Path) -> None:
    plan = plans.load()
    fabricate_all(plan)
    stage(plan, "train", "one-cifar10").outputs[2].unlink()
    values = fresh(plan)
    assert values.pop("train@one-cifar10") == "missing"
    assert set(values.values()) == {"current"}


def test_provenance_that_dvc_pull_does_not_bring_is_not_missing(project: Path) -> None:
    plan = plans.load()
    fabricate_all(plan)
    (plan.paths.run("one-cifar10") / "provenance.json").unlink()
    assert set(fresh(plan).values()) == {"current"}


def test_an_edited_table_is_stale(project: Path) -> None:
    plan = plans.load()
    fabricate_all(plan)
    stage(plan, "table", "small").outputs[1].write_text("edited by hand")
    assert fresh(plan)["table@small"] == "stale"


def test_a_restored_older_version_of_a_table_is_recognized(project: Path) -> None:
    """DVC restores outputs from its run cache without calling the command line."""
    before = plans.load()
    fabricate_all(before)
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("seed: 1}", "seed: 7}"))
    after = plans.load()
    for path in stage(after, "table", "small").outputs:
        path.write_text("another")
    remember(after, stage(after, "table", "small"))
    Path("params.yaml").write_text(text)
    fabricate(before, stage(before, "table", "small"))
    assert fresh(plans.load())["table@small"] == "current"


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 40, b"PK\x03\x04junk"])
@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors"])
def test_a_damaged_result_carries_no_metadata(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    assert embedded_metadata(path) == {}


def test_config_files_are_older_than_current_outputs_and_newer_than_stale_ones(project: Path) -> None:
    plan = plans.load()
    fabricate_all(plan)
    for path in Path("results").rglob("*.*"):
        os.utime(path, (1000, 1000))
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["runs"]["two-cifar10"]["seed"] = 7
    Path("params.yaml").write_text(yaml.safe_dump(content))
    graph, configs, settled = config_files(plans.load())
    for key in ("train@one-cifar10", "score@one-cifar10"):
        assert Path(configs[key]).stat().st_mtime < min(path.stat().st_mtime for path in graph[key].outputs)
    assert not {"train@two-cifar10", "score@two-cifar10", "table@small", "cells@all"} & set(settled)
    assert {"train@one-cifar10", "score@one-cifar10", "reference@cifar10-few"} <= set(settled)
    for key in ("train@two-cifar10", "score@two-cifar10", "table@small"):
        assert Path(configs[key]).stat().st_mtime > max(path.stat().st_mtime for path in graph[key].outputs)


def test_a_missing_pack_is_built_only_for_a_stage_that_must_run(project: Path) -> None:
    """As in a clone without packs: a run that is complete needs none, and is not repeated once it is there."""
    fabricate_all(plans.load())
    for path in Path("data/tiny").glob("*/*.*"):
        if path.name != "source.json":
            path.unlink()
    graph, configs, settled = config_files(plans.load())
    assert set(settled) == set(graph)
    assert Path(configs["prepare@cifar10"]).stat().st_mtime == 0
    assert settled["prepare@cifar10"] == graph["prepare@cifar10"].inputs
    assert not any(path.is_relative_to("data") for path in settled["train@one-cifar10"])
    Path("results/tiny/runs/two-cifar10/run.json").unlink()
    graph, configs, settled = config_files(plans.load())
    assert set(graph) - set(settled) == {"prepare@cifar10", "train@two-cifar10"}
    assert not any(path.is_relative_to("data") for path in settled["train@one-cifar10"])


def test_a_run_of_this_machine_keeps_its_missing_pack_as_an_input(project: Path) -> None:
    plan = plans.load()
    fabricate_all(plan)
    run = stage(plan, "train", "one-cifar10")
    mark_finished(plan.paths.workspace("train", run.subject, run.fingerprint), ())
    for path in Path("data/tiny").glob("*/*.*"):
        path.unlink()
    settled = config_files(plan)[2]
    assert settled["train@one-cifar10"] == run.inputs
    assert len(settled["train@two-cifar10"]) == len(run.inputs) - len(PACK_FILES)


def test_no_gpus_if_the_params_file_selects_the_cpu(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_count(plans.load()) == 0  # the tiny params say cpu
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["execution"]["device"] = "auto"
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert gpu_count(plans.load()) == 0


@pytest.mark.faults
@pytest.mark.parametrize(
    ("visible", "count"),
    [
        (None, 4),
        ("", 0),
        ("-1", 0),
        ("NoDevFiles", 0),
        ("none", 0),
        ("void", 0),
        ("all", 0),
        ("0", 1),
        (" 0, 2 ", 2),
        ("0,1,2,3", 4),
        ("0,-1,1", 1),  # CUDA reads up to the first name that is no GPU's
        ("1,7,0", 1),
        ("0,0", 0),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,GPU-0", 2),
        ("MIG-GPU-8932f937/1/0", 1),
    ],
)
def test_gpus_are_counted_as_cuda_reads_the_variable(
    project: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, count: int
) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["execution"]["device"] = "auto"
    content["scales"]["tiny"]["same_bytes"] = False
    Path("params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(
        Path, "glob", lambda self, pattern: iter([self / f"nvidia{i}" for i in range(4)] + [self / "nvidiactl"])
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_count(plans.load()) == count
