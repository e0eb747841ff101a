"""The params.yaml of this project, and its schema."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT
from transgan.config import plan as plans
from transgan.schema import export


def test_the_schema_that_snakemake_validates_with_is_that_of_the_classes() -> None:
    assert (ROOT / export.TARGET).read_text() == export.schema(), "run `make generate`"


def test_params_yaml_resolves_at_every_scale() -> None:
    for scale in ("demo", "quick", "paper"):
        plan = plans.load(ROOT / "params.yaml", scale)
        assert plan.runs
        assert all(0 < run.share <= 1 for run in plan.runs.values())
    assert all(
        run.share == 1
        for run in plans.load(ROOT / "params.yaml", "paper").runs.values()
        if not run.name.startswith("ablation")
    )


def test_the_tests_scale_is_no_scale_of_params_yaml(content: dict[str, Any]) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert not set(content["scales"]) & set(params["scales"])


def test_git_keeps_the_metrics_of_params_yaml_and_of_no_other_file(tmp_path: Path) -> None:
    """Those of the files in workflow/ and benchmarks/ would otherwise be new files in `git status`."""

    def scales(files: list[Path]) -> set[str]:
        return {name for file in files for name in yaml.safe_load(file.read_text()).get("scales", {})}

    (tmp_path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    own = scales([ROOT / "params.yaml"])
    other = scales([*ROOT.glob("workflow/*.yaml"), *ROOT.glob("benchmarks/*.yaml")])
    assert len(other) > 1
    paths = {f"results/{scale}/metrics/x.json": scale for scale in own | other}
    found = subprocess.run(
        ["git", "check-ignore", *paths], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.split()
    assert {paths[path] for path in found} == other


def test_every_dataset_of_params_yaml_is_used() -> None:
    """DVC prepares every dataset of the file, even one that nothing needs."""
    plan = plans.load(ROOT / "params.yaml")
    used = {run.dataset_name for run in plan.runs.values()} | {
        classifier.dataset for classifier in plan.classifiers.values()
    }
    assert set(plan.datasets) == used


def test_the_first_version_trains_with_its_scripts_batches_for_500_000_generator_steps() -> None:
    plan = plans.load(ROOT / "params.yaml", "paper")
    epochs = {"cifar10": 50_000, "stl10": 105_000, "celeba64": 202_599}
    for name, batch in (("v1-s-cifar10", 32), ("v1-xl-cifar10", 32), ("v1-stl10", 16), ("v1-celeba64", 16)):
        run = plan.run(name)
        recipe = run.recipe
        assert (recipe.batch, recipe.generator_batch, recipe.n_critic) == (batch, 2 * batch, 5)
        assert recipe.images == 500_000 * 5 * batch
        assert not recipe.leak_generator_gradient
        assert recipe.ema.beta == 0.999
        term = recipe.regularizers["super_resolution"]
        assert (term.weight, term.until) == (50, 110 * epochs[run.dataset_name])


def test_rows_of_the_first_versions_components_add_one_technique_each() -> None:
    plan = plans.load(ROOT / "params.yaml", "paper")
    plain, cotraining, both = (
        plan.run(name).plain() for name in ("v1-plain-cifar10", "v1-cotraining-cifar10", "v1-s-cifar10")
    )
    added = cotraining["recipe"]["regularizers"].pop("super_resolution")
    assert both["recipe"]["regularizers"].pop("super_resolution") == added
    assert cotraining["model"]["generator"].pop("image_input")
    assert both["model"]["generator"].pop("image_input")
    assert (plain["model"], plain["recipe"]) == (cotraining["model"], cotraining["recipe"])
    assert both["model"]["generator"].pop("locality_band")
    assert not plain["model"]["generator"].pop("locality_band")
    assert (plain["model"], plain["recipe"]) == (both["model"], both["recipe"])


def test_every_table_and_figure_says_what_it_stands_for() -> None:
    known = re.compile(r"(v2 )?Table \d|(Figure|Section|Ablation table|Abstract) .*|The paper's figures|Ours\b")
    plan = plans.load(ROOT / "params.yaml")
    for name, entry in (*plan.params.tables.items(), *plan.params.figures.items()):
        assert known.match(entry.source), f"{name}: {entry.source}"
        assert not entry.source.endswith("."), f"{name}: the caption adds the full stop"
