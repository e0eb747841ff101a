"""The verdict rule against cases worked out by hand from the design's sentence."""

import pytest

from transgan.metrics.authors_curve import Position
from transgan.report.verdict import Verdict, judge, worse_by


def test_worse_is_positive_for_both_metrics():
    assert worse_by("fid", 10.0, 9.0) == 1.0
    assert worse_by("is", 8.0, 9.0) == 1.0


@pytest.mark.parametrize(
    ("metric", "ours", "paper", "options", "expected"),
    [
        ("fid", 9.26 * 1.03, 9.26, {}, Verdict.REPRODUCED),
        ("fid", 9.26 * 1.031, 9.26, {}, Verdict.WORSE),
        ("fid", 9.26 * 0.969, 9.26, {}, Verdict.BETTER),
        ("fid", 10.82, 9.26, {}, Verdict.WORSE),  # the authors' log after a twelfth of their schedule is no licence
        ("fid", 10.82, 9.26, {"std": 0.8}, Verdict.REPRODUCED),
        ("fid", 9.31, 9.26, {"training_seeds": 1}, Verdict.REPRODUCED_ONCE),
        ("fid", 9.60, 9.26, {"training_seeds": 1}, Verdict.WORSE),
        ("is", 8.90, 9.02, {"paper_std": 0.12}, Verdict.REPRODUCED),
        ("is", 8.80, 9.02, {"paper_std": 0.12}, Verdict.WORSE),
        ("is", 9.20, 9.02, {"paper_std": 0.12}, Verdict.BETTER),
        ("fid", 9.26, 9.26, {"share": 0.999}, Verdict.PARTIAL),
        ("fid", 9.26, 9.26, {"comparable": False}, Verdict.NOT_COMPARABLE),
        ("fid", 9.26, 9.26, {"comparable": False, "share": 0.1}, Verdict.NOT_COMPARABLE),
        ("fid", 9.26, None, {}, Verdict.NO_NUMBER),
    ],
)
def test_judge(metric, ours, paper, options, expected):
    assert judge(metric, ours, paper, **{"training_seeds": 2, **options}) is expected


@pytest.mark.parametrize(
    ("fid", "expected"),
    [
        (31.1, Verdict.ON_CURVE),
        (32.1, Verdict.ON_CURVE),  # exactly the allowed difference
        (32.11, Verdict.ABOVE_CURVE),
        (30.1, Verdict.ON_CURVE),
        (30.09, Verdict.BELOW_CURVE),
    ],
)
def test_a_partial_run_is_held_against_the_authors_curve(fid, expected):
    curve = Position(images=4_000_000, fid=fid, authors=31.1, allowed=1.0)
    assert judge("fid", fid, 9.26, share=0.03, curve=curve) is expected
    assert judge("fid", fid, 9.26, share=0.03, curve=curve, comparable=False) is Verdict.NOT_COMPARABLE
    assert judge("fid", fid, 9.26, curve=curve, training_seeds=2) is Verdict.WORSE
