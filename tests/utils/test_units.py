import pytest

from transgan.utils.units import duration, flop, plain_number, short_number


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (720, "12 min"), (12600, "3.5 h"), (181440, "2.1 days")])
def test_a_duration_is_written_in_a_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.1174, "0.117"),
        (999, "999"),
        (1000, "1k"),
        (999_950, "1M"),  # rounding moves it to the next unit
        (83_312_495, "83.3M"),
        (1.28e8, "128M"),
        (2e9, "2G"),
    ],
)
def test_a_short_number_has_three_digits_and_a_unit_prefix(number: float, text: str) -> None:
    assert short_number(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (1.1e-5, "1.1e-05"), (0.1174, "0.117"), (64.12, "64.1"), (1447.6, "1448")]
)
def test_a_plain_number_has_three_digits_and_all_before_the_point(number: float, text: str) -> None:
    assert plain_number(number) == text


@pytest.mark.parametrize(
    ("eflop", "text"),
    [
        (0, "0"),
        (3.25e-06, "3.25 TFLOP"),
        (2.66e-07, "266 GFLOP"),
        (0.3784, "378 PFLOP"),
        (0.99996, "1 EFLOP"),
        (572.4, "572 EFLOP"),
        (1e-15, "0.001 MFLOP"),
    ],
)
def test_operations_are_written_in_a_unit_that_suits_them(eflop: float, text: str) -> None:
    assert flop(eflop) == text
