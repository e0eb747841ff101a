"""`transgan pool`: one table of the crates of several labs, and how much of the spread comes from their machines."""

from pathlib import Path
from typing import Any

import pandas as pd

from transgan.report import crate
from transgan.utils.console import say, say_json

EXPLAINED = """
Standard deviations (degrees of freedom) by an analysis of variance of training seeds and machines, of the seeds that
all of these machines have. machines: a shift that all seeds of a machine share. rest: how much the same seed differs
on another machine beside that. p: of the hypothesis that seeds, or machines, make no difference. A negative variance
is printed as 0. Machines with the same GPUs or processor count as one.
"""
CAUSES = {"training": "training seeds", "machine": "machines", "rest": "rest"}


def pool(folders: list[Path], as_json: bool) -> None:
    """Print a line per cell and machine, and the spread over training seeds and machines where both are several."""
    lines = crate.read_all(folders)
    pooled, spread = crate.pool(lines), crate.spread(lines)
    if as_json:
        say_json({"cells": _records(pooled), "spread": _records(spread)})
        return
    _print(pooled.assign(**{name: pooled[name].map(_number) for name in ("mean", "std")}))
    if not spread.empty:
        say(EXPLAINED)
        _print(_laid_out(spread))


def _laid_out(spread: pd.DataFrame) -> pd.DataFrame:
    """The analysis as it is printed, with machines by number."""
    table = spread[[*crate.NAMED, "seeds"]].assign(**{"on machines": spread["machines"].map(len)})
    for name, title in CAUSES.items():
        freedom = spread[f"{name}_freedom"]
        table[title] = [f"{std:.4g} ({df})" for std, df in zip(spread[name], freedom, strict=True)]
        if name != "rest":
            table[f"p, {title}"] = spread[f"{name}_p"].map(lambda p: "" if pd.isna(p) else f"{p:.2g}")
    return table


def _print(table: pd.DataFrame) -> None:
    say(table.to_markdown(index=False, disable_numparse=True))


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.6g}"


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Lines of a frame for JSON, which has no NaN: the spread of one seed."""
    lines: list[dict[Any, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return lines
