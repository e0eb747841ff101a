"""Statistics of a two-level full factorial design: effects and interactions, Shapley values, and orders of adding.

Each of them is a contrast: weights, which sum to 0, of the means of all combinations of the levels. The model is linear
and saturated in the factors, with effects coding, and has the training seeds as blocks: runs with one seed share random
numbers, and what a seed adds to all combinations alike is in no contrast. The residual is what is left, seed times
combination. Source: Box, Hunter and Hunter, Statistics for Experimenters, chapters 4 and 5.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95

Floats = NDArray[np.float64]
Members = tuple[int, ...]  # indices of factors, ascending


@dataclass(frozen=True)
class Estimate:
    """A contrast of a design: its value, and its 95% intervals by Student's t.

    `low`, `high` and `p_value` are of the linear model, whose residual is pooled over all combinations. `seeds_low` and
    `seeds_high` are of the contrast computed in each training seed alone, which does not need combinations that spread
    alike, and has fewer degrees of freedom.
    """

    value: float
    low: float
    high: float
    p_value: float
    seeds_low: float
    seeds_high: float


@dataclass(frozen=True)
class Orders:
    """What adding one factor changes, in all orders of adding the factors.

    `shapley` is the mean over orders, `least` and `most` are the extremes of the mean score's change, each with the
    factors that come before.
    """

    shapley: Estimate
    least: float
    least_after: Members
    most: float
    most_after: Members


@dataclass(frozen=True)
class Design:
    """Scores of a two-level full factorial design of `factors` factors, with two or more training seeds.

    `scores` is (training seeds, 2 ** factors): in column c, factor i has its second level if bit i of c is set. Raises
    ValueError for another shape, and for numbers that are not finite.
    """

    scores: Floats
    factors: int

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.scores.ndim != 2 or len(self.scores) < 2 or self.scores.shape[1] != 2**self.factors:
            raise ValueError(
                f"a design of {self.factors} factors needs {2**self.factors} combinations and two seeds, "
                f"has {self.scores.shape}"
            )
        if not np.isfinite(self.scores).all():
            raise ValueError("a score is not finite")

    @property
    def means(self) -> Floats:
        """Mean over the seeds of every combination."""
        return np.asarray(self.scores.mean(0))

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the residual."""
        return (len(self.scores) - 1) * ((1 << self.factors) - 1)

    @property
    def residual(self) -> float:
        """Variance of the residual: what neither the combination nor the seed explains."""
        rest = self.scores - self.means - self.scores.mean(1, keepdims=True) + self.scores.mean()
        return float(np.square(rest).sum() / self.freedom)

    @property
    def interactions(self) -> list[Members]:
        """Every set of two or more factors."""
        return [each for size in range(2, self.factors + 1) for each in combinations(range(self.factors), size)]

    def effect(self, members: Members) -> Estimate:
        """The main effect of one factor, or the interaction of several.

        Main effect: mean with the second level minus mean with the first. Interaction of two: half of how much the
        effect of one is larger with the second level of the other; of more, and so on.
        """
        return self.estimate(self._effect(members))

    def total(self) -> Estimate:
        """All factors at their second level minus all at their first."""
        return self.estimate(self._step((), tuple(range(self.factors))))

    def orders(self, factor: int) -> Orders:
        """What adding one factor changes in all orders of adding the factors; mean over orders: the Shapley value.

        Source: Shapley, A value for n-person games, 1953.
        """
        others = [other for other in range(self.factors) if other != factor]
        before = [each for size in range(self.factors) for each in combinations(others, size)]
        weights = sum(
            math.factorial(len(each))
            * math.factorial(self.factors - 1 - len(each))
            / math.factorial(self.factors)
            * self._step(each, (*each, factor))
            for each in before
        )
        means = self.means
        change = {each: float(self._step(each, (*each, factor)) @ means) for each in before}
        least, most = min(before, key=change.__getitem__), max(before, key=change.__getitem__)
        return Orders(self.estimate(np.asarray(weights)), change[least], least, change[most], most)

    def added(self, factor: int) -> Estimate:
        """What adding one factor changes after those with a lower index: a row of a cumulative ablation."""
        return self.estimate(self._step(tuple(range(factor)), tuple(range(factor + 1))))

    def no_interaction(self) -> tuple[float, float]:
        """F and p of the hypothesis that all interactions are 0, which means that no order of adding matters."""
        squares = [self._sum_of_squares(self._effect(members)) for members in self.interactions]
        mean = math.fsum(squares) / len(squares)
        ratio = mean / self.residual if self.residual > 0 else math.inf if mean > 0 else 0.0
        return ratio, float(stats.f.sf(ratio, len(squares), self.freedom))

    def estimate(self, weights: Floats) -> Estimate:
        """The contrast of the combinations with these weights, which sum to 0."""
        per_seed = self.scores @ weights
        seeds, value = len(per_seed), float(per_seed.mean())
        error = math.sqrt(self.residual * float(np.square(weights).sum()) / seeds)
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom)) * error
        by_seed = float(stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * per_seed.std(ddof=1) / math.sqrt(seeds))
        ratio = abs(value) / error if error > 0 else math.inf if value else 0.0
        return Estimate(
            value=value,
            low=value - half,
            high=value + half,
            p_value=float(2 * stats.t.sf(ratio, self.freedom)),
            seeds_low=value - by_seed,
            seeds_high=value + by_seed,
        )

    def _effect(self, members: Members) -> Floats:
        """Effects coding: the product of -1 and +1 over the factors, so scaled that it is a difference of two means."""
        columns = np.arange(2**self.factors)
        signs = np.prod([np.where(columns >> member & 1, 1.0, -1.0) for member in members], axis=0)
        return np.asarray(signs / 2 ** (self.factors - 1), float)

    def _step(self, start: Members, end: Members) -> Floats:
        """From one combination to another, each given by the factors that have their second level."""
        weights = np.zeros(2**self.factors)
        weights[sum(1 << member for member in end)] += 1
        weights[sum(1 << member for member in start)] -= 1
        return weights

    def _sum_of_squares(self, weights: Floats) -> float:
        value = float(weights @ self.means)
        return len(self.scores) * value**2 / float(np.square(weights).sum())
