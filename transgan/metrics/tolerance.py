"""The tolerance that every verdict uses: how far a score may lie from the authors' and still count as the same."""

# A share of the authors' FID; for IS the paper's own ±, or this.
FID_TOLERANCE = 0.03
IS_TOLERANCE = 0.10
# A difference of exactly the tolerance is within it, whatever the last bit is.
ROUNDING = 1e-9


def tolerance(metric: str, theirs: float, their_std: float | None, std: float | None) -> float:
    """Largest difference that counts as the same: the larger of two standard deviations and the metric's tolerance.

    Args:
        metric: `fid` or `is`.
        theirs: the authors' number.
        their_std: its ±; only that of an IS is used.
        std: standard deviation of this project's number over seeds; None for a single one.
    """
    allowed = {"is": IS_TOLERANCE if their_std is None else their_std, "fid": FID_TOLERANCE * theirs}[metric]
    return max(2 * (std or 0.0), allowed)
