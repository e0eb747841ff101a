"""Tables from known scores: the numbers in the cells, the words around them, and that nothing of the paper is lost."""

import csv
import json
import re
import statistics
from collections import Counter

import pandas as pd
import pytest
import yaml

from tests.report.conftest import PARAMS
from transgan.cost import counts
from transgan.errors import UserError
from transgan.report import tables
from transgan.report.cells import cells, metric_label
from transgan.report.paper_numbers import paper_numbers
from transgan.report.verdict import Verdict

RUN = "transgan-cifar10"
FID, IS = [9.7, 9.9, 9.8], [8.9, 9.1, 9.05]


def tables_of(plan, table="unconditional"):
    tables.make(plan, table)
    base = plan.paths.table(table)
    with base.with_name(f"{table}.csv").open(newline="") as file:
        lines = {(row["row"], row["dataset"], row["metric"]): row for row in csv.DictReader(file)}
    # Columns of the Markdown are padded; without that, a row is easier to name.
    markdown = re.sub(" +", " ", base.with_suffix(".md").read_text())
    return lines, markdown, base.with_suffix(".tex").read_text()


def test_every_number_of_the_paper_is_in_exactly_one_cell_of_a_table(project):
    plan = project()
    in_tables = Counter(
        (cell.table, cell.row, cell.dataset, cell.metric)
        for name in plan.params.tables
        for cell in cells(plan, name)
        if cell.paper
    )
    known = {key for key in paper_numbers() if key[0] in plan.params.tables}
    assert in_tables == Counter(dict.fromkeys(known, 1))
    assert set(plan.params.tables) >= {key[0] for key in paper_numbers()}


def test_numbers_of_a_full_run_get_a_verdict(project, scored):
    plan = project("paper")
    scored(plan, RUN, fid={"values": FID}, **{"is": {"values": IS, "split_std": [0.10, 0.14, 0.12]}})
    lines, markdown, latex = tables_of(plan)
    fid, inception = lines["TransGAN", "cifar10", "fid"], lines["TransGAN", "cifar10", "is"]
    assert float(fid["ours"]) == pytest.approx(9.8)
    assert float(fid["std_evaluation"]) == pytest.approx(statistics.stdev(FID))
    assert fid["std_training"] == ""
    assert float(fid["std"]) == pytest.approx(statistics.stdev(FID))
    assert (fid["seed"], fid["training_seeds"], fid["evaluation_seeds"], fid["share"]) == ("0", "1", "3", "1.0")
    assert float(fid["mean"]) == float(fid["ours"])
    assert (fid["better"], inception["better"]) == ("lower", "higher")
    assert float(fid["difference"]) == pytest.approx(0.54)
    assert (fid["verdict"], fid["measured"], fid["protocol"]) == ("worse", "FID", "fid50k-train")
    assert fid["fingerprint"] == plan.fingerprint("score", RUN)
    assert float(inception["split_std"]) == pytest.approx(0.12)
    assert inception["verdict"] == "reproduced with one training seed"
    assert "9.02 ± 0.12, n = 1 (reproduced with one training seed)" in markdown
    assert "9.80, n = 1 (worse)" in latex
    assert "Not comparable" not in markdown


def test_two_training_seeds_print_the_interval_of_their_mean(project, scored):
    plan = project("demo")
    scored(plan, RUN, fid={"values": [10.0, 11.0]})
    scored(plan, f"{RUN}-s1", fid={"values": [12.0, 13.0]})
    lines, markdown, latex = tables_of(plan)
    line = lines["TransGAN", "cifar10", "fid"]
    # Student's t with one degree of freedom: 12.706 times the standard error, which is 1 for 10.5 and 12.5.
    assert (float(line["mean_low"]), float(line["mean_high"])) == pytest.approx(
        (11.5 - 12.7062, 11.5 + 12.7062), abs=1e-4
    )
    assert r"11.50 \[−1.21, 24.21\], n = 2" in markdown
    assert r"11.50 {[}$-$1.21, 24.21{]}, n = 2" in latex
    assert "95% interval of the mean over training seeds" in markdown


def test_rows_that_are_never_trained_are_quoted(project):
    plan = project("paper")
    _, markdown, _ = tables_of(plan)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in markdown.splitlines() if line.startswith("| ")}
    for name in ("SN-GAN", "AdversarialNAS-GAN", "Progressive GAN", "COCO-GAN"):
        assert "| quoted |" in rows[name], name
    for name in ("WGAN-GP", "AutoGAN", "StyleGAN-V2", "StyleGAN-V2 + DiffAug"):
        assert "not run" in rows[name], name
        assert "quoted" not in rows[name], name


def test_every_measured_cell_shows_its_own_protocol(project, scored):
    plan = project("paper")
    for run in ("stylegan2-cifar10", "stylegan2-stl10", RUN):
        scored(plan, run, fid={"values": FID})
    lines, markdown, _ = tables_of(plan)
    assert lines["StyleGAN-V2", "cifar10", "fid"]["protocol"] == "fid10k-test"
    assert lines["StyleGAN-V2", "stl10", "fid"]["protocol"] == "fid50k-trainunlabeled-48"
    assert lines["TransGAN", "cifar10", "fid"]["protocol"] == "fid50k-train"
    (detail,) = [
        line
        for line in markdown.splitlines()
        if line.startswith("| StyleGAN-V2 |") and "CIFAR-10" in line and "fid10k-test" in line and "9.80" in line
    ]
    assert "stylegan2-cifar10" in detail


def test_a_part_of_the_schedule_is_held_against_the_authors_curve(project, scored):
    plan = project("quick")
    scored(plan, RUN, fid={"values": [11.0]})
    lines, markdown, latex = tables_of(plan)
    line = lines["TransGAN", "cifar10", "fid"]
    assert line["verdict"] == "partial, on the authors' curve"
    assert float(line["curve_fid"]) == pytest.approx(10.82)
    assert float(line["curve_difference"]) == pytest.approx(0.18)
    assert float(line["curve_allowed"]) == pytest.approx(0.03 * 10.82 + 0.1)
    assert float(line["difference"]) == pytest.approx(11.0 - 9.26)
    assert "11.00, n = 1 (partial, on the authors' curve: +0.18)" in markdown
    assert "+0.18 of 10.82, allowed ±0.42" in markdown
    assert "7.8%" in markdown
    assert f"]({tables.ROOT}docs/tables.md#the-authors-learning-curve)" in markdown
    assert "(docs/tables.md)" in latex
    assert lines["TransGAN", "cifar10", "is"]["note"] == "fid50k-train does not measure IS"


@pytest.mark.parametrize(
    ("images", "fid", "verdict"),
    [
        (None, 11.3, "partial, above the authors' curve"),
        (None, 10.3, "partial, below the authors' curve"),
        (4_000_000, 31.5, "partial, on the authors' curve"),
        (2_000_000, 50.0, "partial"),  # before their first point
        (20_000_000, 10.0, "partial"),  # after their last one
    ],
)
def test_the_verdict_is_that_at_the_runs_own_image_count(project, scored, images, fid, verdict):
    plan = project("paper" if images == 20_000_000 else "quick")
    scored(plan, RUN, images=images, fid={"values": [fid]})
    lines, markdown, _ = tables_of(plan)
    assert lines["TransGAN", "cifar10", "fid"]["verdict"] == verdict
    assert ("the-authors-learning-curve" in markdown) == (verdict != "partial")


def test_other_rows_on_the_same_data_are_only_partial(project, scored):
    plan = project("quick")
    scored(plan, "noaug-cifar10", fid={"values": [11.0]})
    lines, _, _ = tables_of(plan, "augmentation")
    assert (lines["TransGAN", "cifar10", "fid"]["verdict"]) == "partial"
    assert lines["TransGAN", "cifar10", "fid"]["curve_fid"] == ""


def test_a_footnote_of_the_paper_s_number_says_what_others_measured(project):
    for table in ("unconditional", "augmentation"):
        assert "PaddleViT measured 9.31" in tables_of(project("paper"), table)[1]
        assert "9.31" not in tables_of(project("demo"), table)[1]


def test_the_demo_is_marked_as_not_comparable_and_not_fid(project, scored):
    plan = project("demo")
    for seed in (RUN, f"{RUN}-s1"):
        scored(plan, seed, fid={"values": [3.0]})
    lines, markdown, latex = tables_of(plan)
    assert lines["TransGAN", "cifar10", "fid"]["verdict"] == "not comparable"
    assert lines["TransGAN", "cifar10", "fid"]["measured"] == "FID-digits"
    assert "**Not comparable with the paper" in markdown
    assert r"\textbf{Not comparable with the paper" in latex
    assert "ours (FID-digits)" in markdown
    assert "it is not the paper's FID" in latex


def test_the_demo_shows_no_number_of_the_paper(project, scored):
    plan = project("demo")
    scored(plan, RUN, fid={"values": [3.0]})
    _, markdown, latex = tables_of(plan)
    for number in ("9.26", "18.28", "5.28"):
        assert number not in markdown
        assert number not in latex
    assert "SN-GAN" not in markdown  # a row that is only quoted
    assert "9.26" in tables_of(project("paper"))[1]


def test_a_training_seed_that_the_scale_skips_leaves_the_cell_to_the_others(project, scored):
    plan = project("quick")
    scored(plan, "noaug-cifar10", fid={"values": [20.0]})
    lines, _, _ = tables_of(plan, "augmentation")
    line = lines["TransGAN", "cifar10", "fid"]
    assert (line["run"], line["ours"], line["note"]) == ("noaug-cifar10", "20.0", "")


def test_a_missing_run_is_named_in_its_cell(project):
    lines, markdown, latex = tables_of(project("paper"))
    line = lines["TransGAN", "stl10", "fid"]
    assert (line["verdict"], line["ours"]) == ("not run", "")
    assert "transgan-stl10 has no scores" in line["note"]
    assert "not run" in markdown
    assert "not run" in latex


def test_a_run_that_the_scale_skips_is_named_in_its_cell(project):
    plan = project("demo")
    lines, markdown, _ = tables_of(plan, "ablation")
    line = lines["(D) + Multi-scale discriminator", "church256", "fid"]
    assert (line["verdict"], line["note"]) == ("not run", "multiscale-church256 is skipped at scale demo")
    row = next(row for row in markdown.splitlines() if row.startswith("| (D) + Multi-scale"))
    assert row.count("not run at demo; ") == 2
    assert row.count("| not run; ") == 1
    assert row.count(" EFLOP |") == 3
    assert float(line["would_cost_eflop"]) == pytest.approx(counts.eflop(plan, "multiscale-church256"))
    assert "hours of an A100 in float32" in markdown


def test_scores_of_another_configuration_are_left_out(project, scored):
    plan = project("paper")
    scored(plan, RUN, fid={"values": [1.0]})
    path = plan.paths.score(RUN)
    path.write_text(path.read_text().replace(plan.fingerprint("score", RUN), "0" * 16))
    lines, _, _ = tables_of(plan)
    assert lines["TransGAN", "cifar10", "fid"]["ours"] == ""
    assert "another configuration" in lines["TransGAN", "cifar10", "fid"]["note"]


def with_two_seeds(folder):
    """params.yaml with a second training seed of the headline cell."""
    content = yaml.safe_load(PARAMS.read_text())
    content["runs"]["transgan-cifar10-s1"] = {**content["runs"][RUN], "seed": 1}
    for scale in content["scales"].values():
        scale["runs"]["transgan-cifar10-s1"] = {}
    row = next(row for row in content["tables"]["unconditional"]["rows"] if row["name"] == "TransGAN")
    row["runs"]["cifar10"] = [RUN, "transgan-cifar10-s1"]
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    return folder / "params.yaml"


def headline(plan):
    """The cell of TransGAN's FID on CIFAR-10."""
    return next(
        cell
        for cell in cells(plan, "unconditional")
        if cell.row == "TransGAN" and cell.dataset == "cifar10" and cell.metric == "fid"
    )


def test_two_training_seeds_on_the_authors_curve_count_by_their_mean_and_spread(project, scored, tmp_path):
    plan = project("quick", with_two_seeds(tmp_path))
    scored(plan, RUN, fid={"values": [11.0]})
    scored(plan, "transgan-cifar10-s1", fid={"values": [12.0]})
    curve = headline(plan).curve
    assert curve is not None
    assert curve.fid == pytest.approx(11.5)
    assert curve.allowed == pytest.approx(2 * 0.5**0.5 + 0.1)  # two standard deviations are more than 3%
    assert headline(plan).verdict is Verdict.ON_CURVE
    scored(plan, "transgan-cifar10-s1", images=9_700_000, fid={"values": [12.0]})
    assert headline(plan).curve is None  # they ended at different counts
    assert headline(plan).verdict is Verdict.PARTIAL


def test_two_training_seeds_are_averaged_and_their_spread_decides(project, scored, tmp_path):
    plan = project("paper", with_two_seeds(tmp_path))
    scored(plan, RUN, fid={"values": [9.0, 9.2]})
    scored(plan, "transgan-cifar10-s1", fid={"values": [11.0, 11.2]})
    cell = headline(plan)
    assert cell.result is not None
    assert cell.result.mean == pytest.approx(10.1)
    assert cell.result.std_training == pytest.approx(statistics.stdev([9.1, 11.1]))
    assert cell.result.std_evaluation == pytest.approx(statistics.stdev([9.0, 9.2]))
    assert cell.verdict is Verdict.REPRODUCED  # the difference of 0.84 is less than two standard deviations, 2.83
    plan.paths.score("transgan-cifar10-s1").unlink()
    alone = headline(plan)
    assert alone.result is not None
    assert alone.result.training_seeds == 1
    assert "transgan-cifar10-s1 has no scores" in alone.missing


def test_unverified_numbers_have_a_footnote(project):
    _, markdown, latex = tables_of(project("paper"))
    assert "5.74<sup>†</sup>" in markdown
    assert r"5.74${}^{\dagger}$" in latex
    assert "<sup>†</sup> not verified" in markdown
    assert "12.42 |" in markdown  # verified: no mark
    assert markdown.count("10k images against the 10k test split") == 1


def test_latex_is_balanced_and_escaped(project):
    _, _, latex = tables_of(project("paper"))
    assert latex.count("{") == latex.count("}")
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    rows = body.strip().splitlines()
    assert len(rows) == 9
    assert {row.replace(r"\&", "").count("&") for row in rows} == {10}
    assert latex.count(r"\cmidrule(lr)") == latex.count(r"\multicolumn{2}{c}") == 5
    assert all(ord(character) < 128 for character in latex)


def test_the_same_scores_give_the_same_bytes(project, scored):
    plan = project("demo")
    scored(plan, RUN, fid={"values": FID})
    first = tables_of(plan)
    assert tables_of(plan) == first


def test_labels_name_what_is_not_fid():
    assert metric_label("fid", {"extractor": "inception-v3-compat", "feature_layer": "2048"}) == "FID"
    assert metric_label("fid", {"extractor": "inception-v3-compat", "feature_layer": "768"}) == "FID-768"
    assert metric_label("is", {"extractor": "inception-v3-compat", "feature_layer": "768"}) == "IS"
    assert metric_label("fid", {"extractor": "digits", "feature_layer": "features"}) == "FID-digits"


def test_an_unknown_table_names_the_nearest(project):
    with pytest.raises(UserError, match="unconditional"):
        tables.make(project(), "unconditionl")


def test_a_protocol_is_noted_for_each_reference_that_it_has(project, scored, monkeypatch):
    plan = project("demo")
    for run, count in (("transgan-cifar10", 50_000), ("transgan-stl10", 50_000), ("transgan-celeba128", 202_599)):
        scored(plan, run, fid={"values": [3.0]})
        path = plan.paths.score(run)
        content = json.loads(path.read_text())
        for settings in content["settings"].values():
            settings["reference_count"] = count
        path.write_text(json.dumps(content))
    tables.make(plan, "unconditional")
    notes = plan.paths.table("unconditional").with_suffix(".md").read_text().splitlines()
    protocol_notes = [line for line in notes if "`fid50k-train`" in line]
    assert any("(CelebA 128)" in line and "against 202,599 images" in line for line in protocol_notes)
    assert any("(CIFAR-10)" in line and "against 50,000 images" in line for line in protocol_notes)


@pytest.mark.parametrize("content", [{}, [], {"values": []}])
def test_a_damaged_score_file_is_one_line(project, scored, content):
    plan = project("demo")
    scored(plan, "transgan-cifar10", fid={"values": [3.0]})
    path = plan.paths.score("transgan-cifar10")
    scores = json.loads(path.read_text())
    if content == {"values": []}:
        scores["protocols"]["fid50k-train"]["fid"] = content
    path.write_text(json.dumps(scores if content == {"values": []} else content))
    with pytest.raises(
        UserError, match=r"transgan-cifar10.json: damaged .*; delete it .*, then run `transgan score transgan-cifar10"
    ):
        tables.make(plan, "unconditional")


def test_a_table_is_the_pivot_of_its_csv(project, scored):
    """What the Markdown prints as ours is what the csv has as the mean of its cell."""
    plan = project("paper")
    scored(plan, RUN, fid={"values": FID}, **{"is": {"values": IS, "split_std": [0.10, 0.14, 0.12]}})
    _, markdown, _ = tables_of(plan)
    frame = pd.read_csv(plan.paths.table("unconditional").with_suffix(".csv"))
    means = frame.pivot_table(index="row", columns=["column", "metric"], values="mean")
    row = next(line for line in markdown.splitlines() if line.startswith("| TransGAN |"))
    assert f"| {means.loc['TransGAN', ('CIFAR-10', 'fid')]:.2f}, n = 1 (worse)" in row
    assert f"| {means.loc['TransGAN', ('CIFAR-10', 'is')]:.2f} ± 0.12, n = 1 (reproduced" in row


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- name: SN-GAN", "- name: WGAN-GP", "two rows are named 'WGAN-GP'"),
        ("{dataset: stl10, title: STL-10,", "{dataset: stl10, title: CIFAR-10,", "two columns are titled 'CIFAR-10'"),
    ],
)
def test_two_rows_or_columns_of_one_name_are_one_line(project, tmp_path, old, new, message):
    text = PARAMS.read_text()
    (tmp_path / "params.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=f"tables.unconditional.*{message}"):
        project("demo", tmp_path / "params.yaml")


def test_a_table_without_cells_is_one_line(project, tmp_path):
    content = yaml.safe_load(PARAMS.read_text())
    content["tables"]["scaling"]["rows"] = [{"name": "A row of nothing"}]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"tables\.scaling: no cell has runs"):
        tables.make(project("demo", tmp_path / "params.yaml"), "scaling")
