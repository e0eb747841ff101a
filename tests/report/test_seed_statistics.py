"""Statistics over training seeds, with known answers: textbook tables, exact cases, and scores made of known parts."""

import math

import numpy as np
import pytest

from transgan.report.seed_statistics import (
    components,
    crossed_components,
    crossed_sums,
    holm,
    paired_difference,
    power_of_t_test,
    seeds_needed,
    std_interval,
    sums_of_squares,
)

# Student's data of 1908: hours of sleep gained with two drugs, ten patients each. Mean difference 1.58, 95% interval
# 0.70 to 2.46, p 0.0028 paired; -0.205 to 3.365 by Welch's test (R's help page of t.test).
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_paired_difference_of_students_sleep_data():
    found = paired_difference(DRUG_2, DRUG_1)
    assert found.mean == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert found.p_value == pytest.approx(0.002833, abs=1e-6)
    assert (found.unpaired_low, found.unpaired_high) == pytest.approx((-0.2054832, 3.3654832), abs=1e-6)
    assert found.correlation == pytest.approx(0.7952, abs=1e-4)
    assert found.correlation_low < found.correlation < found.correlation_high
    spread = np.var(DRUG_1, ddof=1) + np.var(DRUG_2, ddof=1)
    assert found.variance_ratio == pytest.approx(spread / np.var(np.subtract(DRUG_2, DRUG_1), ddof=1))
    assert found.unpaired_seeds == pytest.approx(10 * found.variance_ratio)


def test_pairing_saves_nothing_without_correlation_and_much_with_it():
    random = np.random.default_rng(0)
    shared, a, b = random.normal(size=(3, 4000))
    assert paired_difference(a, b).variance_ratio == pytest.approx(1, rel=0.1)
    # Correlation 9/10: the ratio is 1 / (1 - 0.9).
    together = paired_difference(3 * shared + a, 3 * shared + b)
    assert together.correlation == pytest.approx(0.9, abs=0.01)
    assert together.variance_ratio == pytest.approx(10, rel=0.1)


def test_holm_corrects_the_smallest_most_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # R: p.adjust(..., "holm")
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_a_constant_difference_is_certain_and_one_pair_says_nothing():
    found = paired_difference([2.0, 3.0, 5.0], [1.0, 2.0, 4.0])
    assert (found.mean, found.low, found.high, found.p_value) == (1, 1, 1, 0)
    assert found.variance_ratio is None
    assert found.unpaired_low < 1 < found.unpaired_high
    same = paired_difference([2.0, 2.0], [2.0, 2.0])
    assert (same.mean, same.p_value, same.unpaired_low) == (0, 1, 0)
    with pytest.raises(ValueError, match="two or more pairs"):
        paired_difference([1.0], [2.0])


# Two-sided, 5%, power 80%. Cohen (1988), table 2.4.1: d 0.5, 0.8 and 1.0 need 64, 26 and 17 per group. G*Power 3.1:
# d 0.2 needs 394 (Cohen's approximation: 393); dz 0.5 needs 34 pairs, dz 0.2 needs 199.
@pytest.mark.parametrize(
    ("effect", "paired", "seeds"),
    [(0.2, False, 394), (0.5, False, 64), (0.8, False, 26), (1.0, False, 17), (0.5, True, 34), (0.2, True, 199)],
)
def test_seeds_needed_against_textbooks(effect, paired, seeds):
    assert seeds_needed(effect, paired) == seeds
    assert seeds_needed(-effect, paired) == seeds
    assert power_of_t_test(effect, seeds, paired) >= 0.8 > power_of_t_test(effect, seeds - 1, paired)


def test_power_at_the_ends():
    assert power_of_t_test(0.0, 7, False) == pytest.approx(0.05)
    assert power_of_t_test(50.0, 5, True) == pytest.approx(1)
    assert seeds_needed(0.0, True) is None
    assert seeds_needed(1e-4, True) is None
    assert seeds_needed(1000.0, True) == 2


def test_power_is_the_share_of_tests_that_find_the_difference():
    from scipy import stats

    random = np.random.default_rng(1)
    a, b = random.normal(1.2, 1, (4000, 8)), random.normal(0, 1, (4000, 8))
    share = np.mean(stats.ttest_ind(a, b, axis=1).pvalue < 0.05)
    assert power_of_t_test(1.2, 8, False) == pytest.approx(share, abs=0.03)


def test_interval_of_a_standard_deviation():
    low, high = std_interval(2.0, 9)  # chi-square quantiles 2.7004 and 19.0228 of nine degrees of freedom
    assert (low, high) == pytest.approx((2 * math.sqrt(9 / 19.0228), 2 * math.sqrt(9 / 2.7004)), rel=1e-4)


def test_components_of_variance_are_recovered():
    """Many rows of scores made of known parts: training 3, evaluation 1, the number of samples a fixed shift."""
    random = np.random.default_rng(2)
    pooled = None
    for _ in range(400):
        scores = (
            random.normal(0, 3, (5, 1, 1))
            + random.normal(0, 1, (5, 3, 1))
            + random.normal(0, 0.5, (5, 3, 4))
            + np.array([6.0, 3.0, 1.0, 0.0])
        )
        pooled = sums_of_squares(scores) if pooled is None else pooled + sums_of_squares(scores)
    found = components(pooled)
    assert found.training == pytest.approx(3, rel=0.05)
    assert found.evaluation == pytest.approx(1, rel=0.05)
    assert found.rest == pytest.approx(0.5, rel=0.05)
    assert found.by_count < 0.15
    assert found.p_value < 1e-6
    assert pooled.bias == pytest.approx((6, 3, 1, 0), abs=0.1)
    assert pooled.rows == 400


def test_sums_of_squares_add_up_and_equal_those_of_a_one_way_analysis():
    from scipy import stats

    random = np.random.default_rng(3)
    scores = random.normal(size=(4, 3, 5))
    sums = sums_of_squares(scores)
    of_counts = 12 * np.square(scores.mean((0, 1)) - scores.mean()).sum()
    total = np.square(scores - scores.mean()).sum()
    assert sums.training + sums.evaluation + sums.by_count + sums.rest + of_counts == pytest.approx(total)
    freedoms = (sums.training_freedom, sums.evaluation_freedom, sums.by_count_freedom, sums.rest_freedom)
    assert sum(freedoms) + 4 == scores.size - 1
    # With one number of samples it is a one-way analysis of the evaluation seeds, grouped by training seed.
    single = components(sums_of_squares(scores[:, :, :1]))
    assert single.p_value == pytest.approx(stats.f_oneway(*scores[:, :, 0]).pvalue)
    assert single.rest is None


def test_too_few_seeds_have_no_components():
    for shape in ((1, 3, 1), (3, 1, 1)):
        with pytest.raises(ValueError, match="two or more"):
            sums_of_squares(np.zeros(shape))
    with pytest.raises(ValueError, match="cannot be pooled"):
        sums_of_squares(np.zeros((2, 2, 1))) + sums_of_squares(np.zeros((2, 3, 1)))


def test_components_of_seeds_and_machines_are_recovered():
    """Many rows of 3 or 5 seeds, with scores made of known parts: seeds 3, a shift of each machine 2, the rest 1."""
    random = np.random.default_rng(3)
    rows = [
        crossed_sums(random.normal(0, 3, (t, 1)) + random.normal(0, 2, (1, 4)) + random.normal(0, 1, (t, 4)))
        for t in [3, 5] * 400
    ]
    pooled = sum(rows[1:], rows[0])
    found = crossed_components(pooled)
    assert found.training == pytest.approx(3, rel=0.05)
    assert found.machine == pytest.approx(2, rel=0.05)
    assert found.rest == pytest.approx(1, rel=0.05)
    assert max(found.training_p, found.machine_p) < 1e-6
    assert (pooled.training_freedom, pooled.machine_freedom, pooled.rest_freedom) == (2400, 2400, 7200)


def test_a_shift_of_a_whole_machine_does_not_hide_the_seeds():
    found = crossed_components(crossed_sums(np.array([[10.0, 110.0], [12.0, 112.0]])))
    assert found.training == pytest.approx(2**0.5)
    assert found.machine == pytest.approx(5000**0.5)
    assert found.rest == pytest.approx(0, abs=1e-9)


def test_what_does_not_vary_has_no_p():
    constant = crossed_components(crossed_sums(np.full((3, 2), 0.1)))  # a number that is not exact in binary
    assert (constant.training, constant.machine, constant.rest) == (0, 0, 0)
    assert math.isnan(constant.training_p)
    assert math.isnan(constant.machine_p)
    assert math.isnan(components(sums_of_squares(np.full((3, 2, 1), 0.1))).p_value)


def test_machines_that_agree_leave_no_doubt_about_seeds():
    """The same bytes on every machine: what rounding leaves must not become a p value."""
    random = np.random.default_rng(4)
    for machines in (2, 3):
        for _ in range(100):
            seeds = random.normal(25, 0.5, (5, 1))
            same = crossed_components(crossed_sums(np.repeat(seeds, machines, axis=1)))
            assert same.training == pytest.approx(seeds.std(ddof=1))
            assert (same.machine, same.rest, same.training_p) == (0, 0, 0)
            assert math.isnan(same.machine_p)


def test_machines_need_two_seeds_and_two_machines():
    for shape in ((1, 3), (3, 1)):
        with pytest.raises(ValueError, match="two or more"):
            crossed_sums(np.zeros(shape))
    with pytest.raises(ValueError, match="cannot be pooled"):
        crossed_sums(np.zeros((2, 2))) + crossed_sums(np.zeros((2, 3)))
