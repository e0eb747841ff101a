"""Mistakes in a params file are reported in one line, with the nearest valid name."""

from pathlib import Path
from typing import Any

import pytest

from tests.config.conftest import write
from transgan.config import plan as plans
from transgan.errors import UserError


def set_in(content: dict[str, Any], where: str, value: Any) -> None:
    *parents, last = where.split(".")
    for key in parents:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize(
    ("where", "value", "message"),
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
        ("runs.one-cifar10.changes", {"recipe": {"images": "1e6"}}, "images: '1e6' is text; write 1.0e+6"),
        (
            "recipes.short.discriminator",
            {"lr": float("nan")},
            "recipes.short.discriminator.lr: Input should be a finite number",
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line(
    content: dict[str, Any], tmp_path: Path, where: str, value: Any, message: str
) -> None:
    set_in(content, where, value)
    with pytest.raises(UserError) as caught:
        plans.load(write(tmp_path, content))
    assert message in str(caught.value)
    assert str(tmp_path / "params.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_refused_with_the_nearest_one(project: Path) -> None:
    plan = plans.load()
    with pytest.raises(UserError, match="did you mean 'one-cifar10'"):
        plan.run("one-cifar")
    with pytest.raises(UserError, match="no dataset 'mnist'"):
        plan.dataset("mnist")


def test_a_misspelt_required_key_is_reported_and_not_the_missing_one(tmp_path: Path, content: dict[str, Any]) -> None:
    content["figurs"] = content.pop("figures")
    with pytest.raises(UserError, match=r"figurs: unknown key; did you mean 'figures'\?"):
        plans.load(write(tmp_path, content))


def test_an_invalid_full_schedule_is_refused_even_if_the_scale_replaces_it(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    content["runs"]["one-cifar10"]["changes"] = {"recipe": {"images": "1e6"}}
    content["scales"]["tiny"]["runs"]["one-cifar10"] = {"recipe": {"images": 512}}
    with pytest.raises(UserError, match=r"runs.one-cifar10.changes.recipe: images: '1e6' is text; write 1.0e\+6"):
        plans.load(write(tmp_path, content))
