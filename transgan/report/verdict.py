"""Verdicts: how this project's number compares with the paper's, by one rule for every cell (docs/tables.md)."""

from collections.abc import Mapping
from enum import StrEnum

from transgan.metrics.authors_curve import Place, Position
from transgan.metrics.tolerance import ROUNDING, tolerance


class Verdict(StrEnum):
    """The verdicts, as tables print them."""

    REPRODUCED = "reproduced"
    REPRODUCED_ONCE = "reproduced with one training seed"
    BETTER = "better"
    WORSE = "worse"
    PARTIAL = "partial"
    ON_CURVE = "partial, on the authors' curve"
    ABOVE_CURVE = "partial, above the authors' curve"
    BELOW_CURVE = "partial, below the authors' curve"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN = "not run"
    QUOTED = "quoted"
    NO_NUMBER = "no number of the paper known"
    OUT_OF_MEMORY = "trained where the paper ran out of memory"


CURVE_VERDICTS: Mapping[Place, Verdict] = {
    "on": Verdict.ON_CURVE,
    "above": Verdict.ABOVE_CURVE,
    "below": Verdict.BELOW_CURVE,
}


def worse_by(metric: str, ours: float, paper: float) -> float:
    """Difference to the paper's number, positive where this project's is worse: a higher FID, a lower IS."""
    return paper - ours if metric == "is" else ours - paper


def judge(
    metric: str,
    ours: float,
    paper: float | None,
    *,
    paper_std: float | None = None,
    std: float | None = None,
    training_seeds: int = 1,
    curve: Position | None = None,
    share: float = 1.0,
    comparable: bool = True,
) -> Verdict:
    """The verdict on `ours`, a mean over training seeds, beside the paper's number.

    Args:
        metric: `fid` or `is`.
        ours: this project's number.
        paper: the paper's number; None where it has none.
        paper_std: the paper's ±.
        std: standard deviation of `ours` over training seeds, or over evaluation seeds where only one run was trained.
        training_seeds: number of runs behind `ours`.
        curve: where a partial run stands on the authors' learning curve; None where it is not held against one.
        share: trained share of the full schedule.
        comparable: whether the scale's numbers mean what the paper's mean.
    """
    if not comparable:
        return Verdict.NOT_COMPARABLE
    if share < 1.0:
        return Verdict.PARTIAL if curve is None else CURVE_VERDICTS[curve.place]
    if paper is None:
        return Verdict.NO_NUMBER
    difference = worse_by(metric, ours, paper)
    if abs(difference) <= tolerance(metric, paper, paper_std, std) + ROUNDING:
        return Verdict.REPRODUCED if training_seeds > 1 else Verdict.REPRODUCED_ONCE
    return Verdict.WORSE if difference > 0 else Verdict.BETTER
