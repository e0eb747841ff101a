"""The authors' learning curve, FID over real images shown, and where a run stands on it. Imports no torch.

The points (reported_curve.csv) are read off the first author's training log (docs/paper.md 2). The log measures FID
during training, which differs from the protocols here (docs/tables.md); the noise of one evaluation is about 0.1.
"""

import csv
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from transgan.config.plan import Plan, Run
from transgan.metrics.tolerance import ROUNDING, tolerance
from transgan.utils.units import short_number

Place = Literal["on", "above", "below"]

# The first author evaluated nearly the same weights some 35 times and got 10.82 to 11.06 (docs/paper.md 2).
EVALUATION_NOISE = 0.1
# The released CIFAR-10 script measures FID with so many samples. With fewer, FID is higher and may not be compared.
SAMPLES = 50_000
# Training counts whole batches, so a run may pass the last point by a fraction of one.
RANGE_SLACK = 1e-3


@dataclass(frozen=True)
class CurvePoint:
    """One point of the authors' own learning curve: real images shown, and FID."""

    images: float
    fid: float


@dataclass(frozen=True)
class Position:
    """A run's FID after `images` real images, beside the authors' (`authors`) there.

    `allowed` is the largest difference that counts as being on the curve.
    """

    images: int
    fid: float
    authors: float
    allowed: float

    @property
    def difference(self) -> float:
        """The run's FID minus the authors'."""
        return self.fid - self.authors

    @property
    def place(self) -> Place:
        """`on` the curve within `allowed`; otherwise `above` (a higher FID, so worse) or `below` (better)."""
        if abs(self.difference) <= self.allowed + ROUNDING:
            return "on"
        return "above" if self.difference > 0 else "below"

    def __str__(self) -> str:
        """`on the authors' curve at 4M images: FID 31.40, theirs 31.10 (+0.30, allowed ±1.03)`."""
        return (
            f"{self.place} the authors' curve at {short_number(self.images)} images: FID {self.fid:.2f}, "
            f"theirs {self.authors:.2f} ({self.difference:+.2f}, allowed ±{self.allowed:.2f})"
        )


@cache
def authors_curve(dataset: str) -> tuple[CurvePoint, ...]:
    """The authors' learning curve on a dataset, in order; empty where none was published."""
    points = [
        CurvePoint(float(row["real_images_millions"]) * 1e6, float(row["fid"]))
        for row in _rows()
        if row["dataset"] == dataset
    ]
    return tuple(sorted(points, key=lambda point: point.images))


def position(dataset: str, images: int, fid: float, std: float | None = None) -> Position | None:
    """Where a FID after `images` real images lies beside the authors' curve; None outside the range of their points.

    Between two of their points, log FID is interpolated linearly in log images (a power law). The allowed difference is
    that of every verdict (`tolerance`), plus the noise of the authors' evaluation, plus the distance to the other
    plausible interpolation, FID itself linear in log images. That distance is below 0.01 where their points are dense,
    and up to 1.8 between 4.5 and 9.7 million images, where none is known.

    `std` is the standard deviation of `fid` over seeds.
    """
    points = authors_curve(dataset)
    if not points or not points[0].images * (1 - RANGE_SLACK) <= images <= points[-1].images * (1 + RANGE_SLACK):
        return None
    inside = min(max(float(images), points[0].images), points[-1].images)
    last = len(points) - 1
    after = min(max(bisect_right([point.images for point in points], inside), 1), last) if last else 0
    left, right = points[max(after - 1, 0)], points[after]
    weight = math.log(inside / left.images) / math.log(right.images / left.images) if left != right else 0.0
    authors = math.exp((1 - weight) * math.log(left.fid) + weight * math.log(right.fid))
    straight = (1 - weight) * left.fid + weight * right.fid
    allowed = tolerance("fid", authors, None, std) + EVALUATION_NOISE + abs(straight - authors)
    return Position(images, fid, authors, allowed)


def is_comparable(settings: Mapping[str, Any], samples: int) -> bool:
    """Whether a FID of so many samples under a protocol's `settings` measures what the authors' curve does."""
    extractor, layer = settings.get("extractor"), str(settings.get("feature_layer"))
    return extractor == "inception-v3-compat" and layer == "2048" and samples >= SAMPLES


def is_held_against(plan: Plan, run: Run) -> bool:
    """Whether the plan holds a run against the authors' curve: at a comparable scale, in a row with `authors_curve`."""
    return (
        plan.scale.comparable
        and bool(authors_curve(run.dataset_name))
        and any(
            run.name in row.runs.get(run.dataset_name, ()) and run.dataset_name in row.authors_curve
            for table in plan.params.tables.values()
            for row in table.rows
        )
    )


def _rows() -> list[dict[str, str]]:
    text = resources.files("transgan.metrics").joinpath("reported_curve.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
