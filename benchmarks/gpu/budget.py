"""Shares out the time of a session among its steps, and the time of a step among its parts. Standard library only."""

from collections.abc import Sequence


def share(left: float, box: float, later: Sequence[float]) -> float:
    """Seconds for a step with the time box `box` if `left` seconds remain for it and the steps with the boxes `later`.

    Time is shared in proportion to the boxes. What a step saves or overruns is therefore spread over all that follow.
    """
    return max(0.0, left) * box / (box + sum(later))
