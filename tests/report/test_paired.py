"""Paired differences of a table's rows: which rows are paired, the numbers, and the page that shows them."""

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from tests.report.conftest import PARAMS, PROVENANCE
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.report import cost_table, page, paired, trace
from transgan.report.cells import cells
from transgan.report.seed_statistics import paired_difference
from transgan.utils import files


@pytest.fixture
def plan(project, tmp_path):
    """The scale paper, with the second training seeds that it leaves out by default."""
    content = yaml.safe_load(PARAMS.read_text())
    for changes in content["scales"]["paper"]["runs"].values():
        changes.pop("skip", None)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    return project("paper", tmp_path / "params.yaml")


def test_rows_are_paired_with_the_first_and_the_one_above(plan, scored):
    for row, shift in (("standard", 0.0), ("nystrom", 2.0), ("grid", -1.0)):
        for seed, name in enumerate((f"{row}-celeba64", f"{row}-celeba64-s1")):
            scored(plan, name, fid={"values": [20 + shift + seed * (3 if row == "grid" else 1)]})
    scored(plan, "axis-celeba64", fid={"values": [50.0]})  # one seed: in no pair
    csv, markdown, png, pdf = paired.make(plan, "ablation")
    frame = pd.read_csv(csv).set_index(["row", "against"])
    a, b, d = "(A) Standard self-attention", "(B) Nystrom self-attention", "(D) Grid self-attention"
    assert list(frame.index) == [(b, a), (d, a)]
    assert frame.loc[(b, a), "mean"] == pytest.approx(2)
    assert frame.loc[(b, a), "low"] == pytest.approx(2)
    expected = paired_difference([19.0, 22.0], [20.0, 21.0])
    assert frame.loc[(d, a), ["mean", "low", "high"]].tolist() == pytest.approx(
        [expected.mean, expected.low, expected.high]
    )
    assert (frame["seeds"] == "0 1").all()
    text = markdown.read_text()
    assert "Grid self-attention − (A) Standard self-attention" in text
    assert "not defined" in text  # a difference that does not vary has no ratio of variances
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")


def test_the_page_shows_paired_differences_where_there_are_some(plan, scored, monkeypatch):
    monkeypatch.setattr("transgan.report.cost_table.counted", lambda plan, run: dict.fromkeys(cost_table.COLUMNS, 2.0))
    assert "paired differences" not in page.render(plan, trace.everything(plan))
    for name in ("transgan-cifar10", "transgan-cifar10-s1", "noleak-cifar10", "noleak-cifar10-s1"):
        scored(plan, name, fid={"values": [9.0 + len(name)]})
        files.write_json(plan.paths.run(name) / "provenance.json", PROVENANCE)
    html = page.render(plan, trace.everything(plan))
    assert "What each deviation of the released code from the paper does: paired differences" in html
    assert "No gradient leak into the discriminator − As released" in html


def test_the_runs_of_findings_are_pairs_with_common_seeds():
    plan = plans.load(ROOT / "workflow/findings.yaml")
    assert plan.tables_with_common_seeds == list(plan.params.tables)
    assert plans.load(PARAMS, "demo").tables_with_common_seeds == []
    for table in plan.params.tables.values():
        for column in table.columns:
            seeds = [{plan.run(run).seed for run in row.runs[column.dataset]} for row in table.rows]
            assert set.intersection(*seeds), table.title


def test_each_n_critic_is_compared_with_and_without_the_leak():
    plan = plans.load(ROOT / "workflow/findings.yaml")
    table = plan.table("leak")
    runs = {row.name: [plan.run(run) for run in row.runs["digits"]] for row in table.rows}
    found = []
    for pair in table.comparisons:
        leak, no_leak = (runs[name] for name in pair)
        assert [run.seed for run in leak] == [run.seed for run in no_leak] == list(range(10))
        for with_leak, without in zip(leak, no_leak, strict=True):
            both = [run.recipe.plain() for run in (with_leak, without)]
            assert [recipe.pop("leak_generator_gradient") for recipe in both] == [True, False]
            assert both[0] == both[1]
        assert all(name.startswith(f"n_critic {leak[0].recipe.n_critic}, ") for name in pair)
        found.append(leak[0].recipe.n_critic)
    assert found == [1, 2, 3, 4, 5]
    others = [
        {**run.recipe.plain(), "n_critic": 0, "leak_generator_gradient": False}
        for every in runs.values()
        for run in every
    ]
    assert all(recipe == others[0] for recipe in others)


def test_named_comparisons_alone_are_made_and_their_mean_counts_each_seed_once(project, scored):
    plan = project("findings", ROOT / "workflow/findings.yaml")
    scores = {}
    for pair in plan.table("leak").comparisons:
        for row in pair:
            (runs,) = (each.runs["digits"] for each in plan.table("leak").rows if each.name == row)
            scores[row] = np.random.default_rng(len(scores)).normal(100, 10, len(runs))
            for run, fid in zip(runs, scores[row], strict=True):
                scored(plan, run, fid={"values": [fid]})
    frame = paired.differences(cells(plan, "leak"), plan.table("leak").comparisons)
    assert [*zip(frame["row"], frame["against"], strict=True)] == [*plan.table("leak").comparisons, (paired.MEAN, "")]
    of_seeds = np.mean([scores[a] - scores[b] for a, b in plan.table("leak").comparisons], axis=0)
    mean = frame.iloc[-1]
    assert mean["mean"] == pytest.approx(of_seeds.mean())
    assert (mean["high"] - mean["low"]) / 2 == pytest.approx(2.262157 * of_seeds.std(ddof=1) / 10**0.5)  # t, 9 df
    single = frame.iloc[:-1]
    assert single["p_holm"].min() == pytest.approx(5 * single["p_value"].min()) or single["p_holm"].min() == 1
    assert (single["p_holm"] >= single["p_value"]).all()
    assert "mean of the comparisons" in paired.make(plan, "leak")[1].read_text()


def test_comparisons_that_share_no_seeds_are_no_finding(tmp_path, project):
    content = yaml.safe_load((ROOT / "workflow/findings.yaml").read_text())
    for name in content["tables"]["leak"]["rows"][1]["runs"]["digits"][1:]:
        content["scales"]["findings"]["runs"][name] = {"skip": True}
    content["tables"]["leak"]["comparisons"] = [["n_critic 1, leak", "n_critic 1, no leak"]]
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(content))
    assert "leak" not in project("findings", tmp_path / "few.yaml").tables_with_common_seeds


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (["n_critic 1, leak", "n_critic 9, leak"], "comparisons name the row 'n_critic 9, leak'"),
        (["n_critic 1, leak", "n_critic 1, leak"], "with itself"),
        (["n_critic 1, leak", "n_critic 1, no leak"], "twice"),
    ],
)
def test_a_comparison_is_of_two_rows(tmp_path, project, pair, message):
    content = yaml.safe_load((ROOT / "workflow/findings.yaml").read_text())
    content["tables"]["leak"]["comparisons"].append(pair)
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=message):
        project("findings", tmp_path / "wrong.yaml")


def test_without_a_pair_it_says_so(project, scored):
    plan = project("demo")
    scored(plan, "transgan-cifar10", fid={"values": [9.0]})
    assert paired.differences(cells(plan, "deviations")).empty
    with pytest.raises(UserError, match="no two rows share two scored training seeds at scale demo"):
        paired.make(plan, "deviations")
