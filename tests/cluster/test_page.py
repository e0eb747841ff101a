"""docs/cluster.md shows the options that the tests give to Snakemake."""

import pytest

from tests.conftest import ROOT

from .test_slurm import GROUPED, PROFILE, TWO_NODES, UNSIGNALLED, WITH_ACCOUNT


@pytest.mark.parametrize("options", [PROFILE, GROUPED, TWO_NODES, UNSIGNALLED, WITH_ACCOUNT], ids=" ".join)
def test_the_page_shows_what_is_tested(options: tuple[str, ...]) -> None:
    assert " ".join(options) in (ROOT / "docs/cluster.md").read_text()
