"""Resolution of runs, scheduled and skipped runs, references, and commands."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.config.conftest import write
from tests.conftest import ROOT
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.pipeline.stages import stages


def test_merge_goes_into_dicts_and_replaces_lists() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert plans.merge(base, {"a": {"c": [9]}, "d": 4}) == {"a": {"b": 1, "c": [9]}, "d": 4}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


def test_a_notebook_shows_a_plan_in_one_line(content: dict[str, Any], tmp_path: Path) -> None:
    file = write(tmp_path, content)
    assert repr(plans.load(file)) == f"<Plan of {file} at scale tiny: {len(content['runs'])} runs>"


def test_the_order_of_resolution(content: dict[str, Any], tmp_path: Path) -> None:
    """Base, then scale, then the run's changes, then the scale's changes of the run: the later wins."""
    base, scale, changes, scale_run = 11, 12, 13, 14
    recipe, run = content["recipes"]["short"], content["runs"]["one-cifar10"]
    recipe["log_images"] = base
    assert plans.load(write(tmp_path, content)).run("one-cifar10").recipe.log_images == base
    content["scales"]["tiny"]["recipes"]["short"] = {"log_images": scale}
    assert plans.load(write(tmp_path, content)).run("one-cifar10").recipe.log_images == scale
    run["changes"] = {"recipe": {"log_images": changes}}
    assert plans.load(write(tmp_path, content)).run("one-cifar10").recipe.log_images == changes
    content["scales"]["tiny"]["runs"]["one-cifar10"] = {"recipe": {"log_images": scale_run}}
    resolved = plans.load(write(tmp_path, content))
    assert resolved.run("one-cifar10").recipe.log_images == scale_run
    assert resolved.run("two-cifar10").recipe.log_images == scale


def test_the_share_is_that_of_the_base_recipes_schedule(content: dict[str, Any], tmp_path: Path) -> None:
    content["scales"]["tiny"]["recipes"]["short"] = {"images": 128}
    assert plans.load(write(tmp_path, content)).run("one-cifar10").share == 0.25


def test_a_skipped_run_is_resolved_but_no_stage_runs_it(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content))
    content["scales"]["tiny"]["runs"]["two-cifar10"] = {"skip": True}
    after = plans.load(write(tmp_path, content))
    assert after.run("two-cifar10") == before.run("two-cifar10")
    assert set(after.runs) - set(after.scheduled_runs) == {"two-cifar10"}
    assert set(stages(before)) - set(stages(after)) == {"train@two-cifar10", "score@two-cifar10"}
    table = stages(after)["table@small"]
    assert not any("two-cifar10" in str(path) for path in table.inputs)
    assert table.fingerprint != stages(before)["table@small"].fingerprint


def test_the_same_bytes_need_the_cpu(content: dict[str, Any], tmp_path: Path) -> None:
    content["execution"] = {"device": "auto"}
    content["scales"]["tiny"]["same_bytes"] = False
    assert plans.load(write(tmp_path, content)).device == "auto"
    content["scales"]["tiny"]["same_bytes"] = True
    assert plans.load(write(tmp_path, content)).device == "cpu"
    content["execution"] = {"device": "cuda"}
    with pytest.raises(UserError, match=r"execution\.device is cuda, but scales\.tiny\.same_bytes needs the CPU"):
        _ = plans.load(write(tmp_path, content)).device


def test_a_figure_without_a_scheduled_run_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    content["figures"]["samples"] = {"kind": "samples", "title": "Samples", "source": "Ours", "runs": ["one-cifar10"]}
    for run in content["runs"]:
        content["scales"]["tiny"]["runs"][run] = {"skip": True}
    with pytest.raises(UserError, match="skips all of its runs"):
        plans.load(write(tmp_path, content))


def test_resolving_params_imports_no_torch() -> None:
    code = (
        "import sys; from transgan import cli; from transgan.config import plan; "
        "from transgan.pipeline import stages, freshness, snakemake_inputs; "
        "sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_another_file_must_not_use_a_scale_of_params_yaml(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, content)
    (tmp_path / "other.yaml").write_text((tmp_path / "params.yaml").read_text())
    with pytest.raises(UserError, match=r"other.yaml: scales.tiny: params.yaml has a scale of that name"):
        plans.load(Path("other.yaml"))
    assert plans.load(tmp_path / "params.yaml").scale_name == "tiny"


def test_a_command_names_scale_and_file_if_they_are_not_the_defaults(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content["scales"]["other"] = content["scales"]["tiny"]
    write(tmp_path, content)
    assert plans.load().command("fetch", "cifar10") == "transgan fetch cifar10"
    assert plans.load(scale="other").command("fetch", "cifar10") == "transgan fetch cifar10 --scale other"
    (tmp_path / "params.yaml").rename(tmp_path / "mine.yaml")
    assert plans.load(Path("mine.yaml")).command("train", "x") == "transgan train x --params mine.yaml"


def test_a_reference_is_identified_by_dataset_and_protocol(content: dict[str, Any], tmp_path: Path) -> None:
    plan = plans.load(write(tmp_path, content))
    key = plan.run("one-cifar10").reference
    assert (key.dataset, key.protocol) == ("cifar10", "few")
    assert key in plan.references
    assert plan.reference("cifar10-few") == key
    assert str(plan.paths.reference(key)) == "results/tiny/reference/cifar10-few.npz"
    assert plan.paths.workspace("reference", key, "0" * 16).parent.name == "cifar10-few"
    with pytest.raises(UserError, match="no reference 'cifar10-fem'; did you mean 'cifar10-few'"):
        plan.reference("cifar10-fem")


def test_two_references_with_one_name_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    """The dataset a with protocol b-c, and the dataset a-b with protocol c, would share a file."""
    datasets, protocols, runs = content["datasets"], content["protocols"], content["runs"]
    scale = content["scales"]["tiny"]
    for dataset, protocol in (("a", "b-c"), ("a-b", "c")):
        datasets[dataset], protocols[protocol] = datasets["cifar10"], protocols["few"]
        runs[f"run-{dataset}"] = {**runs["one-cifar10"], "dataset": dataset, "protocol": protocol}
        for kind, name in (("datasets", dataset), ("protocols", protocol), ("runs", f"run-{dataset}")):
            scale[kind][name] = {}
    with pytest.raises(UserError, match="the references of a under b-c and of a-b under c would both be named a-b-c"):
        plans.load(write(tmp_path, content))


def test_super_resolution_needs_a_generator_that_takes_images(content: dict[str, Any], tmp_path: Path) -> None:
    content["recipes"]["short"]["regularizers"] = {"sr": {"kind": "super_resolution", "net": "generator", "weight": 1}}
    with pytest.raises(UserError, match=r"recipe\.regularizers\.sr needs a .* set model\.generator\.image_input: true"):
        plans.load(write(tmp_path, content))
    content["models"]["small"]["generator"]["image_input"] = True
    assert plans.load(write(tmp_path, content)).runs
