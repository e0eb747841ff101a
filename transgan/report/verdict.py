"""Verdicts: how this project's number compares with the paper's, by one rule for every cell (docs/tables.md)."""

from enum import StrEnum

# The tolerance where the seeds' spread is smaller: a share of the paper's FID; for IS the paper's own ±, or this.
FID_TOLERANCE = 0.03
IS_TOLERANCE = 0.10
# A difference of exactly the tolerance is within it, whatever the last bit is.
ROUNDING = 1e-9


class Verdict(StrEnum):
    """The verdicts, as tables print them."""

    REPRODUCED = "reproduced"
    WITHIN_SPREAD = "within the authors' spread"
    BETTER = "better"
    WORSE = "worse"
    PARTIAL = "partial"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN = "not run"
    QUOTED = "quoted"
    NO_NUMBER = "no number of the paper known"
    OUT_OF_MEMORY = "trained where the paper ran out of memory"


def worse_by(metric: str, ours: float, paper: float) -> float:
    """Difference to the paper's number, positive where this project's is worse: a higher FID, a lower IS."""
    return paper - ours if metric == "is" else ours - paper


def tolerance(metric: str, paper: float, paper_std: float | None, std: float | None) -> float:
    """Largest difference that counts as the same: the larger of two standard deviations and the metric's tolerance."""
    allowed = {"is": IS_TOLERANCE if paper_std is None else paper_std, "fid": FID_TOLERANCE * paper}[metric]
    return max(2 * (std or 0.0), allowed)


def judge(
    metric: str,
    ours: float,
    paper: float | None,
    *,
    paper_std: float | None = None,
    std: float | None = None,
    spread: tuple[float, float] | None = None,
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
        spread: lowest and highest number that the authors themselves reported.
        share: trained share of the full schedule.
        comparable: whether the scale's numbers mean what the paper's mean.
    """
    if not comparable:
        return Verdict.NOT_COMPARABLE
    if share < 1.0:
        return Verdict.PARTIAL
    if paper is None:
        return Verdict.NO_NUMBER
    difference = worse_by(metric, ours, paper)
    if abs(difference) <= tolerance(metric, paper, paper_std, std) + ROUNDING:
        return Verdict.REPRODUCED
    if spread is not None and spread[0] <= ours <= spread[1]:
        return Verdict.WITHIN_SPREAD
    return Verdict.WORSE if difference > 0 else Verdict.BETTER
