"""`transgan power`: seeds needed from invented scores with a known effect, and what it asks for otherwise."""

import json

import pytest

from tests.report.conftest import project, scored  # noqa: F401
from transgan.commands.power import powers, show
from transgan.errors import UserError

AS_RELEASED, NO_LEAK = "As released", "No gradient leak into the discriminator"


@pytest.fixture
def measured(project, scored):  # noqa: F811
    """Row `As released` scored 9 and 11 (std 1.414), `No gradient leak` scored once."""
    plan = project("demo")
    for run, fid in (("transgan-cifar10", 9.0), ("transgan-cifar10-s1", 11.0), ("noleak-cifar10", 12.0)):
        scored(plan, run, fid={"values": [fid]})
    return plan


def test_seeds_of_a_known_effect(measured):
    (found,) = powers(measured, NO_LEAK, AS_RELEASED, None)
    assert (found.design, found.difference, found.freedom) == ("unpaired", 2.0, 1)
    assert found.std == pytest.approx(2**0.5)
    assert found.seeds == 9  # d = 1.414: G*Power 3.1 gives 9 per group
    assert found.fewest <= found.seeds
    assert found.most is None or found.most > found.seeds


def test_it_prints_lines_and_json(measured, capsys):
    show(measured, NO_LEAK, AS_RELEASED, "deviations", as_json=False)
    assert (
        "CIFAR-10 FID-digits, unpaired: 9 (difference +2.00, std 1.41 of one row with 1 df" in capsys.readouterr().out
    )
    show(measured, NO_LEAK, AS_RELEASED, "deviations", as_json=True)
    assert json.loads(capsys.readouterr().out)["cells"][0]["seeds"] == 9


@pytest.mark.parametrize(
    ("rows", "table", "message"),
    [
        ((AS_RELEASED, "Another row"), "deviations", "has no row 'Another row'; its rows: As released; "),
        ((AS_RELEASED, "Another row"), None, "no table has the rows"),
        (("WGAN-GP", "AutoGAN"), None, "are rows of the tables unconditional, augmentation"),
        ((AS_RELEASED, AS_RELEASED), "deviations", "named twice"),
        (("Moving average as intended", "Pixel norm in both networks"), None, "need a score each"),
    ],
)
def test_bad_input(measured, rows, table, message):
    with pytest.raises(UserError, match=message):
        powers(measured, *rows, table)
