"""The verdict rule against cases worked out by hand from the design's sentence."""

import pytest

from transgan.report.verdict import Verdict, judge, tolerance, worse_by


def test_worse_is_positive_for_both_metrics():
    assert worse_by("fid", 10.0, 9.0) == 1.0
    assert worse_by("is", 8.0, 9.0) == 1.0


@pytest.mark.parametrize(
    ("metric", "paper", "paper_std", "std", "expected"),
    [
        ("fid", 10.0, None, None, 0.3),  # 3% of the paper's FID
        ("fid", 10.0, None, 0.1, 0.3),  # two standard deviations are less than that
        ("fid", 10.0, None, 0.2, 0.4),  # and here more
        ("is", 9.0, 0.12, None, 0.12),  # the paper's own ±
        ("is", 9.0, None, None, 0.10),
        ("is", 9.0, None, 0.1, 0.2),
    ],
)
def test_tolerance(metric, paper, paper_std, std, expected):
    assert tolerance(metric, paper, paper_std, std) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "ours", "paper", "options", "expected"),
    [
        ("fid", 9.26 * 1.03, 9.26, {}, Verdict.REPRODUCED),
        ("fid", 9.26 * 1.031, 9.26, {}, Verdict.WORSE),
        ("fid", 9.26 * 0.969, 9.26, {}, Verdict.BETTER),
        ("fid", 10.82, 9.26, {"spread": (9.26, 10.82)}, Verdict.WITHIN_SPREAD),
        ("fid", 10.83, 9.26, {"spread": (9.26, 10.82)}, Verdict.WORSE),
        ("fid", 10.83, 9.26, {"spread": (9.26, 10.82), "std": 0.8}, Verdict.REPRODUCED),
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
    assert judge(metric, ours, paper, **options) is expected
