"""The authors' learning curve: its points, interpolation and range, and which runs and scores are held against it."""

import itertools
import math
from pathlib import Path

import pytest

from transgan.config import plan as plans
from transgan.metrics.authors_curve import (
    EVALUATION_NOISE,
    Position,
    authors_curve,
    is_comparable,
    is_held_against,
    position,
)
from transgan.metrics.tolerance import FID_TOLERANCE

PARAMS = Path(__file__).parents[2] / "params.yaml"
RUN, SECOND = "transgan-cifar10", "transgan-cifar10-s1"


def at(images: int, fid: float = 20.0, std: float | None = None) -> Position:
    found = position("cifar10", images, fid, std)
    assert found is not None
    return found


def test_the_curve_is_read_in_real_images() -> None:
    points = authors_curve("cifar10")
    assert [(points[0].images, points[0].fid), (points[-1].images, points[-1].fid)] == [(2.95e6, 39.6), (1.0e7, 10.82)]
    assert authors_curve("stl10") == ()


def test_every_point_of_theirs_lies_on_the_curve_with_the_tolerance_of_a_score_and_their_noise() -> None:
    for point in authors_curve("cifar10"):
        found = at(int(point.images), point.fid)
        assert found.authors == pytest.approx(point.fid)
        assert found.difference == pytest.approx(0, abs=1e-9)
        assert found.allowed == pytest.approx(FID_TOLERANCE * point.fid + EVALUATION_NOISE)
        assert found.place == "on"


def test_between_two_points_fid_is_a_power_law_and_the_gap_allows_for_the_other_interpolation() -> None:
    middle = round(math.sqrt(4.5e6 * 9.7e6))  # in the middle of log images
    found = at(middle)
    assert found.authors == pytest.approx(math.sqrt(27.6 * 11.2), rel=1e-6)
    straight = (27.6 + 11.2) / 2
    assert found.allowed == pytest.approx(FID_TOLERANCE * found.authors + 0.1 + straight - found.authors, rel=1e-6)
    assert found.allowed > 2  # 1.8 of it because no point is known there
    dense = at(4_375_000)
    assert 27.6 < dense.authors < 29.0
    assert dense.allowed == pytest.approx(FID_TOLERANCE * dense.authors + 0.1, abs=0.01)


def test_the_curve_falls_without_jumps() -> None:
    fids = [at(images).authors for images in range(2_950_000, 10_000_001, 10_000)]
    assert all(0 <= before - after < 0.2 for before, after in itertools.pairwise(fids))


@pytest.mark.parametrize(
    ("images", "inside"),
    [
        (0, False),
        (2_940_000, False),
        (2_950_000, True),
        (2_950_016, True),  # the first step of 64 that reaches the point
        (10_000_000, True),
        (10_000_064, True),  # a batch that passes the end of the run
        (10_011_000, False),
        (128_000_000, False),
    ],
)
def test_the_range_ends_at_their_last_point(images: int, inside: bool) -> None:
    assert (position("cifar10", images, 10.82) is not None) == inside


def test_a_batch_past_the_last_point_counts_as_the_last_point() -> None:
    assert at(10_000_064).authors == pytest.approx(10.82)


def test_no_dataset_but_theirs_has_a_curve() -> None:
    assert position("stl10", 4_000_000, 30.0) is None


@pytest.mark.parametrize(
    ("fid", "place"),
    [
        (31.1 * 1.03 + 0.1, "on"),
        (31.1 * 1.03 + 0.11, "above"),
        (31.1 * 0.97 - 0.1, "on"),
        (31.1 * 0.97 - 0.11, "below"),
    ],
)
def test_on_ends_at_the_allowed_difference(fid: float, place: str) -> None:
    assert at(4_000_000, fid).place == place


def test_a_wide_spread_over_seeds_widens_what_is_allowed() -> None:
    assert at(4_000_000, 31.1, std=0.1).allowed == at(4_000_000, 31.1).allowed  # 2 std are less than 3%
    assert at(4_000_000, 31.1, std=2.0).allowed == pytest.approx(4.1)


def test_a_position_reads_as_a_sentence() -> None:
    assert str(at(4_000_000, 33.0)) == (
        "above the authors' curve at 4M images: FID 33.00, theirs 31.10 (+1.90, allowed ±1.03)"
    )


@pytest.mark.parametrize(
    ("extractor", "layer", "samples", "expected"),
    [
        ("inception-v3-compat", "2048", 50_000, True),
        ("inception-v3-compat", "2048", 49_999, False),
        ("inception-v3-compat", "768", 50_000, False),
        ("digits", "features", 50_000, False),
    ],
)
def test_only_fid_of_enough_samples_is_comparable(extractor: str, layer: str, samples: int, expected: bool) -> None:
    assert is_comparable({"extractor": extractor, "feature_layer": layer}, samples) is expected


def test_the_released_recipe_is_held_against_the_curve_at_comparable_scales_only() -> None:
    for scale, expected in (("demo", set()), ("quick", {RUN, SECOND}), ("paper", {RUN, SECOND})):
        plan = plans.load(PARAMS, scale)
        assert {name for name, run in plan.runs.items() if is_held_against(plan, run)} == expected
