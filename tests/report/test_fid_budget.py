"""The FID budget's table: the paper's gains, and changes in units of them."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from transgan.report import fid_budget
from transgan.report.fid_budget import Gain, margin, steps, to_frame, to_markdown
from transgan.scoring.fid_budget import Budget, Line

BUDGET = Budget(
    run="transgan-cifar10",
    protocol="fid50k-train",
    title="FID",
    samples=50000,
    base=9.89,
    noise=0.1,
    floor=0.5,
    lines=(Line("JPEG", "quality 75", 9.26), Line("extractor", "another port", None, "not here")),
)


def test_the_margin_and_the_steps_are_the_papers() -> None:
    assert margin() == Gain(9.89, 9.26)
    assert len(steps()) == 9
    assert Gain(9.89, 9.28) in steps()
    assert Gain(6.14, 5.01) not in steps()  # (E) has another schedule


def test_a_change_as_large_as_the_margin_is_one_margin() -> None:
    line = to_frame(BUDGET).iloc[0]
    assert line["difference"] == pytest.approx(-0.63)
    assert line["margins"] == pytest.approx(-1)
    assert line["steps"] == pytest.approx(-margin().share / pd.Series([gain.share for gain in steps()]).median())


def test_units_do_not_depend_on_the_scale_of_the_distance() -> None:
    tenfold = replace(BUDGET, base=98.9, lines=(Line("JPEG", "quality 75", 92.6),))
    assert to_frame(tenfold).iloc[0]["margins"] == pytest.approx(-1)


def test_what_was_not_measured_is_blank_with_its_reason(project: Any) -> None:
    assert math.isnan(to_frame(BUDGET).iloc[1]["margins"])
    text = to_markdown(project("paper"), BUDGET)
    assert "nan" not in text
    assert "not here" in text
    assert "Not comparable" not in text
    assert "Not comparable with the paper: at scale demo" in to_markdown(project("demo"), BUDGET)


def test_both_files_are_written_and_a_run_without_checkpoints_says_so(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measure(_: Any, run: str, average: Any, why_not: str, ports: Any) -> Budget:
        asked.append((run, average, why_not, ports))
        return BUDGET

    monkeypatch.setattr(fid_budget, "measure", measure)
    Path("data/incoming").mkdir(parents=True)
    port = Path("data/incoming/port-pytorch.pth")
    port.touch()
    of = project("demo")
    written = fid_budget.make(of)
    assert [str(path) for path in written] == [f"results/demo/findings/fid-budget.{suffix}" for suffix in ("csv", "md")]
    assert pd.read_csv(written[0])["margins"][0] == pytest.approx(-1)
    ((run, average, why_not, ports),) = asked
    assert (run, average, ports) == (next(iter(of.scheduled_runs)), None, [port])
    assert why_not.startswith("no checkpoint in state/demo/train/")


def test_real_images_have_differences_and_no_shares(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = replace(BUDGET, run="pictures/real", base=0.15, noise=0.001, of_images=True)
    monkeypatch.setattr(fid_budget, "measure_images", lambda *_: real)
    of = project("demo")
    written = fid_budget.make_of_images(of, "pictures/real:test")
    assert [path.name for path in written] == [
        f"fid-budget-real-test-fid50k-train.{suffix}" for suffix in ("csv", "md")
    ]
    assert list(pd.read_csv(written[0])) == ["kind", "change", "fid", "difference", "note"]
    text = written[1].read_text()
    assert "between two random halves of `pictures/real`" in text
    assert "50,000 real images each: 0.1500; its standard deviation over halves is 0.0010" in text
    assert "margin" not in text
