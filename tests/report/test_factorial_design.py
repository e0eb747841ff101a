"""Factorial designs with planted effects: closed forms, Shapley's axioms, and least squares as a second opinion."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from transgan.report.factorial_design import Design

SEEDS = 3


def planted(function, factors, noise=0.0, seeds=SEEDS, blocks=(0.0, 5.0, -3.0)):
    """Scores of a function of the factors' levels (0 or 1), with an offset for each training seed and noise."""
    levels = [[column >> factor & 1 for factor in range(factors)] for column in range(2**factors)]
    means = np.array([function(*each) for each in levels], float)
    random = np.random.default_rng(0)
    offsets = np.resize(blocks, seeds)
    return Design(means + offsets[:, None] + noise * random.normal(size=(seeds, len(means))), factors)


def gain(a, b, c):
    """Effects of 10 and 4, none of c alone, and 6 for a and b together."""
    return 100 - 10 * a - 4 * b - 6 * a * b


def test_planted_effects_and_their_interaction():
    design = planted(gain, 3)
    # The effect of a is 10 without b and 16 with it; the interaction is half of the difference.
    assert design.effect((0,)).value == pytest.approx(-13)
    assert design.effect((1,)).value == pytest.approx(-7)
    assert design.effect((2,)).value == pytest.approx(0)
    assert design.effect((0, 1)).value == pytest.approx(-3)
    for members in ((0, 2), (1, 2), (0, 1, 2)):
        assert design.effect(members).value == pytest.approx(0)
    assert design.total().value == pytest.approx(-20)
    assert design.residual == pytest.approx(0)  # seeds only shift all combinations alike


def test_an_interaction_of_three_is_half_of_what_the_third_does_to_that_of_two():
    design = planted(lambda a, b, c: 8 * a * b * c, 3)
    # a x b is 4 with c and 0 without.
    assert design.effect((0, 1, 2)).value == pytest.approx(2)
    assert design.effect((0, 1)).value == pytest.approx(2)


def test_shapley_values_share_an_interaction_equally_and_add_up():
    design = planted(gain, 3)
    values = [design.orders(factor).shapley.value for factor in range(3)]
    assert values == pytest.approx([-13, -7, 0])
    assert sum(values) == pytest.approx(design.total().value)


@pytest.mark.parametrize("factors", [2, 3, 4, 5])
def test_shapley_values_are_means_over_all_orders_of_any_scores(factors):
    random = np.random.default_rng(factors)
    design = Design(random.normal(30, 10, (SEEDS, 2**factors)), factors)
    means, changes = design.means, {factor: [] for factor in range(factors)}
    for order in permutations(range(factors)):
        reached = 0
        for factor in order:
            changes[factor].append(means[reached | 1 << factor] - means[reached])
            reached |= 1 << factor
    for factor, change in changes.items():
        orders = design.orders(factor)
        assert orders.shapley.value == pytest.approx(np.mean(change))
        assert (orders.least, orders.most) == pytest.approx((min(change), max(change)))
        before = sum(1 << other for other in orders.most_after)
        assert means[before | 1 << factor] - means[before] == pytest.approx(orders.most)
    every = range(factors)
    assert sum(design.orders(factor).shapley.value for factor in every) == pytest.approx(design.total().value)
    assert sum(design.added(factor).value for factor in every) == pytest.approx(design.total().value)


def test_orders_differ_by_the_interaction_only():
    design = planted(gain, 3)
    of_b = design.orders(1)
    assert (of_b.least, of_b.most) == pytest.approx((-10, -4))
    assert of_b.least_after in ((0,), (0, 2))
    assert of_b.most_after in ((), (2,))
    assert design.added(1).value == pytest.approx(-10)  # after a
    assert design.orders(2).least == pytest.approx(design.orders(2).most)


def test_the_linear_model_is_least_squares_with_effects_coding_and_seeds_as_blocks():
    design = planted(lambda a, b, c, d: 50 - 5 * a + 3 * b * c + d, 4, noise=2.0)
    terms = [(factor,) for factor in range(4)] + design.interactions
    columns = np.arange(16)
    signs = {term: np.prod([np.where(columns >> each & 1, 0.5, -0.5) * 2 for each in term], axis=0) for term in terms}
    rows = []
    for seed in range(SEEDS):
        block = [float(seed == other) for other in range(SEEDS)]
        rows += [[*(signs[term][column] / 2 for term in terms), *block] for column in columns]
    model, scores = np.array(rows), design.scores.ravel()
    coefficients, (squares,), rank, _ = np.linalg.lstsq(model, scores)
    freedom = len(scores) - rank
    errors = np.sqrt(squares / freedom * np.diag(np.linalg.inv(model.T @ model)))
    assert freedom == design.freedom == 30
    assert design.residual == pytest.approx(squares / freedom)
    for index, term in enumerate(terms):
        estimate = design.effect(term)
        half = stats.t.ppf(0.975, freedom) * errors[index]
        assert (estimate.value, estimate.high - estimate.value) == pytest.approx((coefficients[index], half))
        assert estimate.p_value == pytest.approx(2 * stats.t.sf(abs(coefficients[index]) / errors[index], freedom))
    # The F test against the model without interactions.
    _, (additive,), _, _ = np.linalg.lstsq(np.delete(model, range(4, 15), axis=1), scores)
    expected = (additive - squares) / 11 / (squares / freedom)
    assert design.no_interaction() == pytest.approx((expected, stats.f.sf(expected, 11, freedom)))


def test_intervals_of_the_seeds_alone_are_students():
    design = planted(gain, 3, noise=1.0, seeds=5)
    alone = [planted_seed @ design._effect((0,)) for planted_seed in design.scores]
    low, high = stats.t.interval(0.95, 4, np.mean(alone), stats.sem(alone))
    estimate = design.effect((0,))
    assert (estimate.seeds_low, estimate.seeds_high) == pytest.approx((low, high))


def test_intervals_hold_what_was_planted_and_the_test_of_interactions_its_level():
    covered, rejected, repeats = 0, 0, 400
    random = np.random.default_rng(1)
    means = np.array([20 - 3 * (column & 1) for column in range(8)], float)
    for _ in range(repeats):
        offsets = random.normal(0, 10, (SEEDS, 1))
        design = Design(means + offsets + random.normal(0, 2, (SEEDS, 8)), 3)
        estimate = design.orders(0).shapley
        covered += estimate.low <= -3 <= estimate.high
        rejected += design.no_interaction()[1] < 0.05
    assert covered / repeats == pytest.approx(0.95, abs=0.035)
    assert rejected / repeats == pytest.approx(0.05, abs=0.035)
    assert planted(gain, 3, noise=1.0).no_interaction()[1] < 0.01


@pytest.mark.parametrize(
    ("scores", "message"),
    [(np.zeros((3, 7)), "8 combinations"), (np.zeros((1, 8)), "two seeds"), (np.full((2, 8), np.nan), "not finite")],
)
def test_what_is_no_design_is_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        Design(scores, 3)
