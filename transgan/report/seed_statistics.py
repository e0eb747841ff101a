"""Statistics of scores over training seeds: paired differences, power, and components of variance.

Nothing here reads files. The tests are scipy's; each function names its source.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from transgan.report.cells import CONFIDENCE

ALPHA, POWER = 0.05, 0.8
POOLED = "all rows, pooled"  # the name of the line that pools the analyses of variance of a table's rows
MOST_SEEDS = 10_000  # more are never trained: a search for a number of seeds ends here
ROUNDING = 1e-20  # a sum of squares below this share of the scores' own squares is of floating point
LEAST_FOR_CORRELATION = 4  # scipy's interval of a correlation needs more than three pairs


@dataclass(frozen=True)
class PairedDifference:
    """Scores `a` minus scores `b` of the same training seeds, with 95% intervals of the mean difference.

    `variance_ratio`: variance of the difference of two unpaired runs over that of a paired difference, which is
    1 / (1 - correlation) where both rows vary alike. None where the paired differences do not vary.
    """

    count: int
    mean: float
    low: float
    high: float
    p_value: float
    unpaired_low: float
    unpaired_high: float
    correlation: float | None
    correlation_low: float | None
    correlation_high: float | None
    variance_ratio: float | None

    @property
    def unpaired_seeds(self) -> float | None:
        """Training seeds per row that unpaired runs would need for the same standard error of the difference."""
        return None if self.variance_ratio is None else self.count * self.variance_ratio


def paired_difference(a: Sequence[float], b: Sequence[float]) -> PairedDifference:
    """Compare two rows, seed by seed: scipy's paired t test, and Welch's, which ignores the pairs.

    Raises ValueError unless there are two or more pairs.
    """
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"a paired difference needs two or more pairs, not {len(a)} and {len(b)} scores")
    first, second = np.asarray(a, float), np.asarray(b, float)
    difference = first - second
    unpaired, paired = first.var(ddof=1) + second.var(ddof=1), difference.var(ddof=1)
    mean = float(difference.mean())
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of scipy, about scores that do not vary
        test = stats.ttest_rel(first, second)
        interval = test.confidence_interval(CONFIDENCE)
        welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(CONFIDENCE)
    varies = bool(np.ptp(first) > 0 and np.ptp(second) > 0)
    correlation = stats.pearsonr(first, second) if varies and len(a) > 2 else None
    of_correlation = (
        correlation.confidence_interval(CONFIDENCE) if correlation and len(a) >= LEAST_FOR_CORRELATION else None
    )
    constant = not paired > 0
    return PairedDifference(
        count=len(a),
        mean=mean,
        low=mean if constant else float(interval.low),
        high=mean if constant else float(interval.high),
        p_value=(1.0 if mean == 0 else 0.0) if constant else float(test.pvalue),
        unpaired_low=float(welch.low) if unpaired > 0 else mean,
        unpaired_high=float(welch.high) if unpaired > 0 else mean,
        correlation=float(correlation.statistic) if correlation else None,
        correlation_low=float(of_correlation.low) if of_correlation else None,
        correlation_high=float(of_correlation.high) if of_correlation else None,
        variance_ratio=None if constant else float(unpaired / paired),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number, in the order given: each bounds the chance of a false claim among them all.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics, 1979.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def power_of_t_test(effect: float, seeds: int, paired: bool, alpha: float = ALPHA) -> float:
    """Power of a two-sided t test with `seeds` training seeds per row, by the noncentral t distribution.

    `effect` is the difference of the means in standard deviations: of the paired differences, or of one row's scores
    (Cohen's d). Source: Cohen, Statistical Power Analysis for the Behavioral Sciences, chapter 2.
    """
    freedom = seeds - 1 if paired else 2 * (seeds - 1)
    shift = abs(effect) * math.sqrt(seeds if paired else seeds / 2)
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    # The other tail is too small to count wherever the shift is not; scipy's noncentral t fails far out in it.
    other = stats.nct.cdf(-critical, freedom, shift) if shift < critical + 5 else 0.0
    return float(stats.nct.sf(critical, freedom, shift) + other)


def seeds_needed(effect: float, paired: bool, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """The fewest training seeds per row, 2 to 10,000, with which a two-sided t test has the power; None if none."""
    if not effect or power_of_t_test(effect, MOST_SEEDS, paired, alpha) < power:
        return None
    fewest, enough = 1, 2
    while power_of_t_test(effect, enough, paired, alpha) < power:
        fewest, enough = enough, 2 * enough
    while enough - fewest > 1:
        middle = (fewest + enough) // 2
        if power_of_t_test(effect, middle, paired, alpha) < power:
            fewest = middle
        else:
            enough = middle
    return enough


def std_interval(std: float, freedom: int) -> tuple[float, float]:
    """The 95% interval of a standard deviation of normal numbers, estimated with so many degrees of freedom."""
    low, high = stats.chi2.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], freedom)
    return std * math.sqrt(freedom / high), std * math.sqrt(freedom / low)


@dataclass(frozen=True)
class SumsOfSquares:
    """Sums of squares and degrees of freedom of balanced nested scores; those of several rows add up.

    `training`: between training seeds. `evaluation`: between evaluation seeds of one training seed. `by_count`: numbers
    of samples against training seeds. `rest`: numbers of samples against evaluation seeds. `bias`: mean score at each
    number of samples minus that at the largest.
    """

    training: float
    evaluation: float
    by_count: float
    rest: float
    training_freedom: int
    evaluation_freedom: int
    by_count_freedom: int
    rest_freedom: int
    evaluation_seeds: int
    counts: int
    bias: tuple[float, ...]
    rows: int = 1

    def __add__(self, other: "SumsOfSquares") -> "SumsOfSquares":
        """Pool two rows, which must have as many evaluation seeds and numbers of samples."""
        if (self.evaluation_seeds, self.counts) != (other.evaluation_seeds, other.counts):
            raise ValueError("rows with other numbers of evaluation seeds or of samples cannot be pooled")
        rows = self.rows + other.rows
        summed: dict[str, Any] = {
            key: getattr(self, key) + getattr(other, key)
            for name in ("training", "evaluation", "by_count", "rest")
            for key in (name, f"{name}_freedom")
        }
        bias = tuple((x * self.rows + y * other.rows) / rows for x, y in zip(self.bias, other.bias, strict=True))
        return SumsOfSquares(**summed, evaluation_seeds=self.evaluation_seeds, counts=self.counts, bias=bias, rows=rows)


@dataclass(frozen=True)
class Components:
    """Standard deviations of one score by their cause, and the p value that training seeds make no difference.

    `evaluation` is of the samples that an evaluation seed draws. `by_count` and `rest` are how much the effect of the
    number of samples differs between training seeds and between evaluation seeds; None with a single number.
    """

    training: float
    evaluation: float
    by_count: float | None
    rest: float | None
    p_value: float


def sums_of_squares(scores: NDArray[np.float64]) -> SumsOfSquares:
    """Decompose balanced scores (training seeds, evaluation seeds, numbers of samples); two or more of both seeds."""
    if scores.ndim != 3 or min(scores.shape[:2]) < 2:
        raise ValueError("an analysis of variance needs two or more training seeds and two or more evaluation seeds")
    t, e, c = scores.shape
    grand, by_training = scores.mean(), scores.mean((1, 2))
    by_evaluation, by_count, cell = scores.mean(2), scores.mean((0, 1)), scores.mean(1)
    rest = scores - by_evaluation[:, :, None] - cell[:, None, :] + by_training[:, None, None]
    return SumsOfSquares(
        training=_squares(by_training - grand, c * e, scores),
        evaluation=_squares(by_evaluation - by_training[:, None], c, scores),
        by_count=_squares(cell - by_training[:, None] - by_count + grand, e, scores),
        rest=_squares(rest, 1, scores),
        training_freedom=t - 1,
        evaluation_freedom=t * (e - 1),
        by_count_freedom=(c - 1) * (t - 1),
        rest_freedom=(c - 1) * t * (e - 1),
        evaluation_seeds=e,
        counts=c,
        bias=tuple(float(value) for value in by_count - by_count[-1]),
    )


def components(sums: SumsOfSquares) -> Components:
    """The ANOVA estimator of the components: training and evaluation seeds are random, numbers of samples fixed.

    Negative estimates become 0. Source: Searle, Casella and McCulloch, Variance Components, chapter 4.
    """
    c, e = sums.counts, sums.evaluation_seeds
    training = sums.training / sums.training_freedom
    evaluation = sums.evaluation / sums.evaluation_freedom
    by_count = sums.by_count / sums.by_count_freedom if c > 1 else 0.0
    rest = sums.rest / sums.rest_freedom if c > 1 else 0.0
    return Components(
        training=_root((training - evaluation) / (c * e)),
        evaluation=_root((evaluation - rest) / c),
        by_count=_root((by_count - rest) / e) if c > 1 else None,
        rest=_root(rest) if c > 1 else None,
        p_value=_f_test(training, sums.training_freedom, evaluation, sums.evaluation_freedom),
    )


@dataclass(frozen=True)
class CrossedSums:
    """Sums of squares of scores of the same training seeds on several machines; those of several rows add up.

    `training`: between seeds. `machine`: between machines. `rest`: what neither explains.
    """

    machines: int
    training: float
    training_freedom: int
    machine: float
    machine_freedom: int
    rest: float
    rest_freedom: int

    def __add__(self, other: "CrossedSums") -> "CrossedSums":
        """Pool two rows, which must have as many machines."""
        if self.machines != other.machines:
            raise ValueError("rows with other numbers of machines cannot be pooled")
        mine, theirs = asdict(self), asdict(other)
        summed = {name: mine[name] + theirs[name] for name in mine if name != "machines"}
        return CrossedSums(machines=self.machines, **summed)


@dataclass(frozen=True)
class CrossedComponents:
    """Standard deviations of scores by their cause, and p values that seeds, or machines, make no difference.

    `machine` is of a shift that all seeds of a machine share; `rest` is how much the same seed differs on another
    machine beside that shift.
    """

    training: float
    machine: float
    rest: float
    training_p: float
    machine_p: float


def crossed_sums(scores: NDArray[np.float64]) -> CrossedSums:
    """Decompose scores (training seeds, machines), two or more of both: an analysis of variance without repetition."""
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise ValueError("an analysis of machines needs two or more training seeds and two or more machines")
    t, m = scores.shape
    grand, by_seed, by_machine = scores.mean(), scores.mean(1), scores.mean(0)
    return CrossedSums(
        machines=m,
        training=_squares(by_seed - grand, m, scores),
        training_freedom=t - 1,
        machine=_squares(by_machine - grand, t, scores),
        machine_freedom=m - 1,
        rest=_squares(scores - by_seed[:, None] - by_machine + grand, 1, scores),
        rest_freedom=(t - 1) * (m - 1),
    )


def crossed_components(sums: CrossedSums) -> CrossedComponents:
    """The ANOVA estimator for seeds and machines that are both random; negative estimates become 0.

    Source: Searle, Casella and McCulloch, Variance Components, chapter 4.
    """
    rest = sums.rest / sums.rest_freedom
    training, machine = sums.training / sums.training_freedom, sums.machine / sums.machine_freedom
    rows = sums.machine_freedom / (sums.machines - 1)
    seeds = sums.training_freedom / rows + 1  # of a row, on average
    return CrossedComponents(
        training=_root((training - rest) / sums.machines),
        machine=_root((machine - rest) / seeds),
        rest=_root(rest),
        training_p=_f_test(training, sums.training_freedom, rest, sums.rest_freedom),
        machine_p=_f_test(machine, sums.machine_freedom, rest, sums.rest_freedom),
    )


def _squares(deviations: NDArray[np.float64], times: int, scores: NDArray[np.float64]) -> float:
    """The sum of squares of deviations, each counted so many times; 0 where rounding of equal scores is all it is."""
    found = float(times * np.square(deviations).sum())
    return found if found > ROUNDING * np.square(scores).sum() else 0.0


def _f_test(mean_square: float, freedom: int, error: float, error_freedom: int) -> float:
    """P that a factor has no effect; NaN where nothing varies at all."""
    if not error > 0:
        return 0.0 if mean_square > 0 else math.nan
    return float(stats.f.sf(mean_square / error, freedom, error_freedom))


def _root(variance: float) -> float:
    return math.sqrt(max(variance, 0.0))
