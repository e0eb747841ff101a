"""The plan: merging, resolution, fingerprints, and mistakes said in one line with the nearest right name."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, TINY
from transgan.config import params_file
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.pipeline.stages import stages
from transgan.schema import export

FILE = Path("params.yaml")


@pytest.fixture
def content() -> dict[str, Any]:
    return yaml.safe_load(TINY.read_text())


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_merge_goes_into_dicts_and_replaces_lists() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert plans.merge(base, {"a": {"c": [9]}, "d": 4}) == {"a": {"b": 1, "c": [9]}, "d": 4}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


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


def test_the_share_of_the_schedule_is_of_the_base_recipe(content: dict[str, Any], tmp_path: Path) -> None:
    content["scales"]["tiny"]["recipes"]["short"] = {"images": 128}
    assert plans.load(write(tmp_path, content)).run("one-cifar10").share == 0.25


def test_fingerprints_do_not_depend_on_key_order(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content)).fingerprint("score", "one-cifar10")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert plans.load(path).fingerprint("score", "one-cifar10") == before


def test_a_default_written_out_changes_no_fingerprint(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content)).fingerprint("train", "one-cifar10")
    content["recipes"]["short"]["compile"] = False
    assert plans.load(write(tmp_path, content)).fingerprint("train", "one-cifar10") == before


def test_execution_changes_no_fingerprint(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content)).fingerprint("score", "one-cifar10")
    content["execution"] = {"device": "auto", "checkpoint_minutes": 7, "keep_checkpoints": 5}
    assert plans.load(write(tmp_path, content)).fingerprint("score", "one-cifar10") == before


def test_the_evaluation_seeds_leave_the_reference_alone(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content))
    content["protocols"]["few"]["seeds"] = [5]
    after = plans.load(write(tmp_path, content))
    reference = before.run("one-cifar10").reference
    assert before.fingerprint("reference", reference) == after.fingerprint("reference", reference)
    assert before.fingerprint("score", "one-cifar10") != after.fingerprint("score", "one-cifar10")


def set_in(content: dict[str, Any], where: str, value: Any) -> None:
    *parents, last = where.split(".")
    for key in parents:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("recipes.short.n_critik", 3, "recipes.short.n_critik: unknown key; did you mean 'n_critic'?"),
        ("models.small.generator.wdth", 3, "models.small.generator.wdth: unknown key; did you mean 'width'?"),
        (
            "models.small.generator.family",
            "resnt",
            "models.small.generator: Input tag 'resnt' found using 'family' does not match",
        ),
        (
            "models.small.discriminator",
            {"family": "resnet", "blocks": [{"widht": 8}]},
            "models.small.discriminator.blocks.0.widht: unknown key; did you mean 'width'?",
        ),
        (
            "models.small.discriminator",
            {"family": "resnet", "blocks": [{"width": 8, "downsampl": True}]},
            "models.small.discriminator.blocks.0.downsampl: unknown key; did you mean 'downsample'?",
        ),
        ("recipes.short.batch", 0, "recipes.short.batch: Input should be greater than or equal to 1 (is 0)"),
        ("recipes.short.batch", "many", "recipes.short.batch: Input should be a valid integer"),
        ("recipes.short.augment", ["translaton"], "recipes.short.augment.0: Input should be 'translation'"),
        ("recipes.short.ema", {"kimg": 1.0, "beta": 0.9}, "recipes.short.ema: give exactly one of `kimg` and `beta`"),
        ("runs.one-cifar10.dataset", "cifar", "runs.one-cifar10.dataset: no dataset 'cifar'; did you mean 'cifar10'?"),
        ("runs.One", {}, "runs.One: String should match pattern"),
        (
            "tables.small.rows",
            [{"name": "x", "runs": {"cifar10": ["one-cifar1"]}}],
            "tables.small: no run 'one-cifar1'; did you mean 'one-cifar10'?",
        ),
        (
            "datasets.cifar10.resolution",
            12,
            "runs.one-cifar10 at scale tiny: the generator makes 8 pixels, the dataset cifar10 has 12",
        ),
        ("models.small.generator.bottom_width", 3, "the generator makes 12 pixels"),
        ("models.small.discriminator.patch", 3, "model.discriminator: 8 pixels do not divide into patches of 6"),
        ("protocols.few.splits", ["valid"], "protocol few wants the split 'valid' of cifar10, which has: train, test"),
        (
            "scales.tiny.recipes.short",
            {"images": -1},
            "scales.tiny.recipes.short: images: Input should be greater than or equal to 1 (is -1)",
        ),
        ("scales.tiny.recipes.shorty", {}, "scales.tiny.recipes: no recipe 'shorty'; did you mean 'short'?"),
        ("scales.tiny.runs", {"one-cifar10": {}, "two-cifar10": {}}, "scales.tiny.runs: three-cifar10 is missing"),
        ("scale", "tinny", "no scale 'tinny'; did you mean 'tiny'?"),
        (
            "recipes.short.discriminator",
            {"betas": [0.5, 2]},
            "recipes.short.discriminator.betas.1: Input should be less than 1 (is 2)",
        ),
        ("runs.one-cifar10.changes", {"recipe": {"images": "1e6"}}, "images: Input should be a valid integer"),
        (
            "recipes.short.discriminator",
            {"lr": float("nan")},
            "recipes.short.discriminator.lr: Input should be a finite number",
        ),
    ],
)
def test_mistakes_are_named(content: dict[str, Any], tmp_path: Path, where: str, value: Any, said: str) -> None:
    set_in(content, where, value)
    with pytest.raises(UserError) as caught:
        plans.load(write(tmp_path, content))
    assert said in str(caught.value)
    assert str(tmp_path / "params.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there"):
        plans.load(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="not readable as YAML"):
        plans.load(tmp_path / "broken.yaml")


def test_unknown_names_are_refused_with_the_nearest(project: Path) -> None:
    plan = plans.load()
    with pytest.raises(UserError, match="did you mean 'one-cifar10'"):
        plan.run("one-cifar")
    with pytest.raises(UserError, match="no dataset 'mnist'"):
        plan.dataset("mnist")


def test_the_schema_that_snakemake_validates_is_the_classes() -> None:
    assert (ROOT / export.TARGET).read_text() == export.schema(), "run `make generate`"


def test_the_product_s_params_resolve_at_every_scale() -> None:
    for scale in ("demo", "quick", "paper"):
        plan = plans.load(ROOT / "params.yaml", scale)
        assert plan.runs
        assert all(0 < run.share <= 1 for run in plan.runs.values())
    assert all(
        run.share == 1
        for run in plans.load(ROOT / "params.yaml", "paper").runs.values()
        if not run.name.startswith("ablation")
    )


def test_a_skipped_run_is_planned_and_made_by_no_stage(content: dict[str, Any], tmp_path: Path) -> None:
    before = plans.load(write(tmp_path, content))
    content["scales"]["tiny"]["runs"]["two-cifar10"] = {"skip": True}
    after = plans.load(write(tmp_path, content))
    assert after.run("two-cifar10") == before.run("two-cifar10")
    assert set(after.runs) - set(after.scheduled_runs) == {"two-cifar10"}
    assert set(stages(before)) - set(stages(after)) == {"train@two-cifar10", "score@two-cifar10"}
    table = stages(after)["table@small"]
    assert not any("two-cifar10" in str(path) for path in table.inputs)
    assert table.fingerprint != stages(before)["table@small"].fingerprint
    assert "scales.tiny.runs.two-cifar10" in table.parameters


def test_a_figure_none_of_whose_runs_is_made_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    content["figures"]["samples"] = {"kind": "samples", "title": "Samples", "runs": ["one-cifar10"]}
    for run in content["runs"]:
        content["scales"]["tiny"]["runs"][run] = {"skip": True}
    with pytest.raises(UserError, match="skips all of its runs"):
        plans.load(write(tmp_path, content))


def test_no_test_scale_is_a_scale_of_the_product(content: dict[str, Any]) -> None:
    product = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert not set(content["scales"]) & set(product["scales"])


def test_every_dataset_of_the_product_is_used() -> None:
    """DVC prepares every dataset of the file, so none may be there that nothing needs."""
    plan = plans.load(ROOT / "params.yaml")
    used = {run.dataset_name for run in plan.runs.values()} | {
        classifier.dataset for classifier in plan.classifiers.values()
    }
    assert set(plan.datasets) == used


def test_plan_imports_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from transgan import cli; from transgan.config import plan; "
        "from transgan.pipeline import stages, freshness, snakemake_inputs; "
        "sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_copies_are_independent(content: dict[str, Any]) -> None:
    before = copy.deepcopy(content)
    params_file.parse(content, FILE)
    assert content == before


def test_a_misspelt_key_is_named_though_the_right_one_is_required(tmp_path: Path, content: dict[str, Any]) -> None:
    content["figurs"] = content.pop("figures")
    with pytest.raises(UserError, match=r"figurs: unknown key; did you mean 'figures'\?"):
        plans.load(write(tmp_path, content))


def test_a_full_schedule_that_is_no_number_is_refused_where_the_scale_says_another(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    content["runs"]["one-cifar10"]["changes"] = {"recipe": {"images": "1e6"}}
    content["scales"]["tiny"]["runs"]["one-cifar10"] = {"recipe": {"images": 512}}
    with pytest.raises(UserError, match=r"runs.one-cifar10.changes.recipe: images: Input should be a valid integer"):
        plans.load(write(tmp_path, content))


@pytest.mark.parametrize(
    "text", ["scale: tiny\n{}scale: tiny\n", "{}\nfigures: {{}}\n", "{}", "a: [{{b: 1, b: 2}}]\n{}"]
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text.format(TINY.read_text()))
    if text == "{}":
        plans.load(path)
    else:
        with pytest.raises(UserError, match=r"the key '(scale|figures|b)' stands twice"):
            plans.load(path)


def test_keys_that_merging_repeats_stand_once(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("top: {<<: &inner {<<: &base {a: 1, b: 2}, b: 3}, a: 4}\nlast: {<<: *inner, b: 5}\nsame: *inner\n")
    assert params_file.read(path) == {"top": {"a": 4, "b": 3}, "last": {"a": 1, "b": 5}, "same": {"a": 1, "b": 3}}


def test_another_file_keeps_off_the_scales_of_params_yaml(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, content)
    (tmp_path / "other.yaml").write_text((tmp_path / "params.yaml").read_text())
    with pytest.raises(UserError, match=r"other.yaml: scales.tiny: params.yaml has a scale of that name"):
        plans.load(Path("other.yaml"))
    assert plans.load(tmp_path / "params.yaml").scale_name == "tiny"


def test_commands_to_type_name_what_is_not_the_default(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content["scales"]["other"] = content["scales"]["tiny"]
    write(tmp_path, content)
    assert plans.load().command("fetch", "cifar10") == "transgan fetch cifar10"
    assert plans.load(scale="other").command("fetch", "cifar10") == "transgan fetch cifar10 --scale other"
    (tmp_path / "params.yaml").rename(tmp_path / "mine.yaml")
    assert plans.load(Path("mine.yaml")).command("train", "x") == "transgan train x --params mine.yaml"


def test_a_reference_is_identified_by_dataset_and_protocol_and_not_by_its_name(
    content: dict[str, Any], tmp_path: Path
) -> None:
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
