"""What Snakemake may change of a params file: the scale, and nothing that the stages would not see."""

from pathlib import Path
from typing import Any

import pytest

from transgan.errors import UserError
from transgan.pipeline.snakemake_inputs import check_overrides

CONTENT = {"scale": "demo", "runs": {"a": {"seed": 0}}}


def test_the_scale_may_be_overridden() -> None:
    check_overrides({**CONTENT, "scale": "paper"}, CONTENT, Path("params.yaml"))
    check_overrides(CONTENT, {"runs": CONTENT["runs"]}, Path("params.yaml"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scal": "paper"}, "not 'scal'; did you mean 'scale'"),
        ({"seed": 3}, "not 'seed'; edit the file"),
        ({"runs": {"a": {"seed": 1}}}, "not 'runs'; edit the file"),
        ({"data": None}, "not 'data'; edit the file"),
    ],
)
def test_anything_else_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"only `scale` may be overridden with --config, {message}"):
        check_overrides({**CONTENT, **given}, CONTENT, Path("params.yaml"))
