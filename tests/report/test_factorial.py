"""`transgan factorial`: the design of workflow/factorial.yaml, known effects in its files, and what it refuses."""

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from tests.report.conftest import PROVENANCE
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.report import cost_table, factorial, page, trace
from transgan.utils import files

PARAMS = ROOT / "workflow/factorial.yaml"
FACTORS = ("grid", "multi-scale", "pixel norm", "relative position")


@pytest.fixture
def plan(project):
    return project("factorial", PARAMS)


@pytest.fixture
def measured(plan, scored):
    """Every run scored: FID falls by 30 with grid and by 10 with pixel norm, and by 20 more with both."""

    def score(plan, left_out=()):
        for row in plan.table("factorial").rows:
            grid, pixel = "grid" in row.factors, "pixel norm" in row.factors
            for run in row.runs["digits"]:
                if run not in left_out:
                    seed = plan.run(run).seed
                    fid = 200 - 30 * grid - 10 * pixel - 20 * grid * pixel + 7 * seed + 0.1 * (len(run) % 3)
                    scored(plan, run, fid={"values": [fid, fid]}, **{"is": {"values": [2.0 + seed, 2.0 + seed]}})

    return score


def test_the_runs_are_all_combinations_and_each_factor_is_one_change():
    plan = plans.load(PARAMS)
    table = plan.table("factorial")
    assert tuple(factor.name for factor in table.factors) == FACTORS
    changes = {
        "grid": {"generator.wide.attention": "grid", "discriminator.wide.attention": "grid"},
        "multi-scale": {"discriminator.stages": plan.run("multiscale-digits").model.plain()["discriminator"]["stages"]},
        "pixel norm": {"generator.norm": "pixel"},
        "relative position": {"generator.relative_position": True, "discriminator.relative_position": True},
    }
    assert len(changes["multi-scale"]["discriminator.stages"]) == 2
    for row in table.rows:
        expected = plan.models["plain"].plain()
        for factor in row.factors:
            for key, value in changes[factor].items():
                *parents, last = key.split(".")
                part = expected
                for parent in parents:
                    part = part[parent]
                part[last] = value
        runs = [plan.run(run) for run in row.runs["digits"]]
        assert [run.model.plain() for run in runs] == [expected] * 3, row.name
        assert [run.seed for run in runs] == [0, 1, 2]
    assert len({plan.fingerprint("train", run) for run in plan.runs}) == 48


def test_known_effects_shares_and_orders(plan, measured):
    measured(plan)
    csv, markdown, png, pdf = factorial.make(plan, "factorial")
    frame = pd.read_csv(csv)
    fid = frame[frame["metric"] == "fid"].set_index(["kind", "term"])
    assert fid.loc[("effect", "grid"), "value"] == pytest.approx(-40, abs=0.1)
    assert fid.loc[("effect", "pixel norm"), "value"] == pytest.approx(-20, abs=0.1)
    assert fid.loc[("effect", "grid × pixel norm"), "value"] == pytest.approx(-10, abs=0.1)
    assert fid.loc[("total", "all factors"), "value"] == pytest.approx(-60, abs=0.2)
    assert fid.loc[("all interactions", "all interactions"), "p_value"] < 1e-9
    shares = fid.loc["shapley"]
    assert list(shares.index) == list(FACTORS)
    assert shares["share"].sum() == pytest.approx(1)
    assert shares["value"].sum() == pytest.approx(shares["added"].sum())
    assert shares.loc["grid", "value"] == pytest.approx(-40, abs=0.2)
    # In the order of the table grid comes first and pixel norm after it, which then has the whole interaction.
    assert shares.loc["grid", "added"] == pytest.approx(-30, abs=0.2)
    assert shares.loc["pixel norm", "added"] == pytest.approx(-30, abs=0.2)
    assert shares.loc["grid", ["least", "most"]].tolist() == pytest.approx([-50, -30], abs=0.3)
    assert "pixel norm" in shares.loc["grid", "least_after"]
    assert "pixel norm" not in shares.loc["grid", "most_after"]
    text = markdown.read_text()
    assert "grid attention instead of standard attention" in text
    assert "grid × pixel norm" in text
    assert "67%" in text
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert pdf.read_bytes()[:4] == b"%PDF"


def test_a_change_that_may_be_nothing_has_no_shares_in_the_table(plan, measured):
    measured(plan)
    _, markdown, *_ = factorial.make(plan, "factorial")
    lines = [line for line in markdown.read_text().splitlines() if "Digits IS-digits" in line and "| grid " in line]
    assert any("%" not in line for line in lines)


def test_missing_runs_are_named_in_one_line(plan, measured):
    measured(plan, left_out=("grid-digits-s1", "all-digits"))
    with pytest.raises(UserError) as error:
        factorial.make(plan, "factorial")
    message = str(error.value)
    assert "without grid-digits-s1, all-digits;" in message
    assert f"`transgan score grid-digits-s1 --params {PARAMS}`" in message
    assert "snakemake --cores all findings" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table["rows"][1]["runs"].update(digits=["grid-digits"]), "needs the same in all rows"),
        (lambda table: [row["runs"].update(digits=row["runs"]["digits"][:1]) for row in table["rows"]], "one training"),
        (lambda table: table["rows"][3].update(runs={}), "row 'pixel norm' has no runs"),
        (lambda table: [row.update(runs={}) for row in table["rows"]], "no row has runs"),
    ],
)
def test_an_incomplete_design_says_what_it_lacks(project, tmp_path, measured, scored, change, message):
    content = yaml.safe_load(PARAMS.read_text())
    change(content["tables"]["factorial"])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    plan = project("factorial", tmp_path / "params.yaml")
    for run in plan.runs:
        scored(plan, run, fid={"values": [1.0, 2.0]}, **{"is": {"values": [1.0, 2.0]}})
    with pytest.raises(UserError, match=message):
        factorial.make(plan, "factorial")


def test_a_table_without_factors_is_no_design(project):
    with pytest.raises(UserError, match=r"tables\.deviations has no `factors`"):
        factorial.make(project("demo"), "deviations")


def test_the_page_shows_a_complete_design(plan, measured, monkeypatch):
    monkeypatch.setattr("transgan.report.cost_table.counted", lambda plan, run: dict.fromkeys(cost_table.COLUMNS, 2.0))
    title = "what each factor adds, over all orders"
    measured(plan, left_out=("grid-digits",))
    for run in plan.runs:
        files.write_json(plan.paths.run(run) / "provenance.json", PROVENANCE)
    assert title not in page.render(plan, trace.everything(plan))
    measured(plan)
    html = page.render(plan, trace.everything(plan))
    assert title in html
    assert "main effects and interactions" in html
