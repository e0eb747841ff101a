"""Which runs differ in the form of attention only, and where the tiles of a generator end."""

import pytest

from tests.conftest import ROOT
from transgan.config import plan as plans
from transgan.config.attention_forms import form, same_but_for_attention, seam_runs, tile_sides

FINDINGS = ROOT / "workflow/findings.yaml"


@pytest.mark.parametrize(
    ("run", "sides"),
    [
        ("transgan-celeba128", (16, 32)),  # 16 tokens at 64 x 64, of two pixels each, and at 128 x 128
        ("transgan-church256", (16, 32, 64)),
        ("transgan-celeba64", (16,)),  # no grid up to 32 x 32
        ("standard-celeba64", ()),
        ("axis-celeba64", ()),
        ("transgan-cifar10", ()),
        ("stylegan2-cifar10", ()),
    ],
)
def test_tiles_in_pixels_follow_from_the_generator(run: str, sides: tuple[int, ...]) -> None:
    assert tile_sides(plans.load(ROOT / "params.yaml", "paper").run(run)) == sides


def test_the_demo_has_tiles_of_half_a_digit() -> None:
    plan = plans.load(ROOT / "params.yaml", "demo")
    assert tile_sides(plan.run("grid-celeba64")) == (4,)
    assert form(plan.run("grid-celeba64")) == "grid, tiles of 4 x 4"
    assert [form(plan.run(f"{name}-cifar10")) for name in ("transgan", "autogan")] == ["standard", "autogan"]
    assert seam_runs(plan) == ("grid-celeba64",)
    assert same_but_for_attention(plan, "grid-celeba64") == ("grid-celeba64", "nystrom-celeba64")


def test_rows_of_the_ablation_are_compared_at_the_papers_scale() -> None:
    plan = plans.load(ROOT / "params.yaml", "paper")
    assert seam_runs(plan) == ("grid-celeba64", "grid-celeba128", "grid-church256")
    forms = ("grid", "standard", "nystrom", "axis")
    assert same_but_for_attention(plan, "grid-celeba128") == tuple(f"{name}-celeba128" for name in forms)
    # The rows below (D) differ in more than attention, so they are no part of it.
    assert same_but_for_attention(plan, "relpos-celeba64") == ("relpos-celeba64",)


def test_training_seeds_belong_to_their_run() -> None:
    plan = plans.load(FINDINGS)
    assert seam_runs(plan) == ("grid-digits16",)
    runs = same_but_for_attention(plan, "grid-digits16")
    forms = [form(plan.run(run)) for run in runs]
    assert {each: forms.count(each) for each in forms} == dict.fromkeys(
        ("grid, tiles of 4 x 4", "standard", "axis", "nystrom"), 3
    )
