"""What `transgan summary` prints: one screen, with the paper's numbers only where they are comparable."""

import csv

import pytest

from tests.report.conftest import PARAMS
from transgan.commands.summary import summary
from transgan.config import plan as plans

COLUMNS = [
    "table",
    "row",
    "column",
    "metric",
    "paper",
    "paper_text",
    "measured",
    "mean",
    "mean_low",
    "mean_high",
    "training_seeds",
    "verdict",
    "run",
]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes(PARAMS.read_bytes())


def write(plan, table, *lines):
    path = plan.paths.table(table).with_suffix(".csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(lines)


def line(row, metric, mean, paper, verdict, run="a-run", **more):
    fixed = {"row": row, "column": "CIFAR-10", "metric": metric, "mean": mean, "paper": paper, "training_seeds": "1"}
    return {**fixed, "paper_text": paper, "verdict": verdict, "run": run, **more}


def test_a_demo_shows_its_own_numbers_alone(project, capsys):
    plan = plans.load(scale="demo")
    first, second, *_ = plan.score_tables
    two_seeds = {"training_seeds": "2", "mean_low": "-3.254", "mean_high": "30.74"}
    write(
        plan,
        first,
        line("TransGAN", "fid", "13.7412", "9.26", "not comparable", measured="FID-digits", **two_seeds),
        line("TransGAN", "fid", "13.7412", "9.26", "not comparable", measured="FID-digits", **two_seeds),
        line("WGAN-GP", "fid", "20.5", "39.68", "not comparable", measured="FID-digits"),
        line("AutoGAN", "fid", "", "12.42", "not run"),
        line("SN-GAN", "fid", "", "21.7", "quoted", run=""),
    )
    write(plan, second, line("TransGAN", "fid", "1", "2", "not comparable"))
    summary(plan)
    out = capsys.readouterr().out
    assert "FID-digits" in out
    assert "13.74, n = 2" in out
    assert "[−3.25, 30.74]" in out
    assert "20.50, n = 1" in out
    assert not [number for number in ("9.26", "12.42", "39.68", "21.7") if number in out]
    assert "SN-GAN" not in out
    assert "Not comparable with the paper" in out
    counts = {words[0]: words[1:] for words in map(str.split, out.splitlines()) if words}
    assert counts["table"] == ["measured", "not", "run", "quoted"]
    assert counts[first] == ["2", "1", "1"]  # two training seeds are one cell
    assert counts[second] == ["1", "–", "–"]
    lines = out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100


def test_comparable_scales_show_the_paper_in_parentheses(project, capsys):
    plan = plans.load(scale="paper")
    write(
        plan,
        plan.score_tables[0],
        line("TransGAN", "fid", "9.3", "9.26", "reproduced", measured="FID"),
        line("SN-GAN", "fid", "", "21.7", "quoted", run=""),
    )
    summary(plan)
    out = capsys.readouterr().out
    assert "9.30, n = 1 (9.26)" in out
    assert "(21.7)" in out
    assert "reproduced" in out
    assert "Not comparable" not in out


def test_a_scale_without_tables_says_what_to_run(project, capsys):
    summary(plans.load(scale="quick"))
    assert "reproduce_tables --config scale=quick" in capsys.readouterr().out
