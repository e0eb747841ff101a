"""What is made of a profile."""

import pytest
from gpu.training_steps import KERNELS, summarize


def test_overlapping_kernels_are_busy_once_and_gaps_are_idle() -> None:
    # From 0 to 30 and from 50 to 100 microseconds; the second runs within the first.
    summary = summarize([("a", 0, 30), ("b", 10, 20), ("a", 50, 100)])
    assert summary["launches"] == 3
    assert summary["span_ms"] == pytest.approx(0.1)
    assert summary["busy_ms"] == pytest.approx(0.08)
    assert summary["idle_share"] == pytest.approx(0.2)
    assert summary["kernels"][0] == {"name": "a", "count": 2, "ms": pytest.approx(0.08)}


def test_only_the_longest_kernels_are_listed() -> None:
    summary = summarize((f"kernel {i}", 10 * i, 10 * i + i) for i in range(1, 2 * KERNELS))
    assert len(summary["kernels"]) == KERNELS
    assert summary["kernels"][0]["name"] == f"kernel {2 * KERNELS - 1}"


def test_an_empty_profile_has_no_launches() -> None:
    assert summarize([]) == {"launches": 0}
