"""The params.yaml of this project, and its schema."""

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


def test_every_dataset_of_params_yaml_is_used() -> None:
    """DVC prepares every dataset of the file, even one that nothing needs."""
    plan = plans.load(ROOT / "params.yaml")
    used = {run.dataset_name for run in plan.runs.values()} | {
        classifier.dataset for classifier in plan.classifiers.values()
    }
    assert set(plan.datasets) == used
