"""The value of a metric, as every metric of this package returns it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricValue:
    """A metric of one set of images.

    `spread` is the standard deviation inside the evaluation (IS: over splits; KID: over subsets). `by_count` is FID at
    the smaller numbers of samples that the protocol names.
    """

    value: float
    spread: float | None = None
    by_count: tuple[float, ...] = ()
