"""Sharing out time."""

import pytest
from gpu.budget import share


def test_shares_follow_the_boxes_and_leave_nothing() -> None:
    boxes, left = [15.0, 60.0, 25.0], 200.0
    for index, box in enumerate(boxes):
        limit = share(left, box, boxes[index + 1 :])
        assert limit == pytest.approx(2 * box)
        left -= limit
    assert left == pytest.approx(0)


def test_what_a_step_saves_or_overruns_is_spread_over_the_later_ones() -> None:
    assert share(100, 30, [20]) == pytest.approx(60)
    assert share(110, 30, [20]) == pytest.approx(66)
    assert share(10, 30, [20]) == pytest.approx(6)


def test_there_is_no_negative_time() -> None:
    assert share(-3, 10, []) == 0
