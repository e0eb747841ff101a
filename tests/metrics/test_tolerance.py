"""The tolerance of every verdict, worked out by hand."""

import pytest

from transgan.metrics.tolerance import tolerance


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
