"""Figures from known outputs: drawn for every kind, the same bytes in two processes, and what they show."""

import csv
import subprocess
import sys
from typing import get_args

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from transgan.errors import UserError
from transgan.report import figures
from transgan.report.plots import attention_distance, bars, compute, curve, dynamics, precision_recall, sources, style
from transgan.schema import FigureConfig
from transgan.utils import files

RUN = "transgan-cifar10"


def config_of(kind, *runs):
    return FigureConfig(kind=kind, title="A title", source="Figure 9 of the paper", runs=runs or (RUN,))


@pytest.fixture
def trained(scored):
    """Write what the train and score stages would have written for a run, but for the generator."""

    def write(plan, name=RUN, points=(0, 100, 1000), fid=True):
        folder = plan.paths.run(name)
        folder.mkdir(parents=True, exist_ok=True)
        side = plan.run(name).dataset.resolution
        rng = np.random.default_rng(0)
        arrays = {
            "images": np.array(points),
            "pictures": rng.integers(0, 255, (len(points), 64, side, side, 3), dtype=np.uint8),
            "attention_distance": rng.random((len(points), 3, 4)) * side,
            "attention_layers": np.array([f"stages.{i}.blocks.0.attention" for i in range(3)]),
            "fid": np.linspace(100, 10, len(points)) if fid else np.full(len(points), np.nan),
        }
        with files.atomic(folder / "dynamics.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        rows = [[n, n // 32, -1.0 * n, "", 0.5 * n, 0.1] for n in points[1:]]
        files.write_csv(folder / "history.csv", ["images", "step", "d_loss", "g_loss", "gap", "gradient_penalty"], rows)
        prc = {"precision": {"values": [0.5, 0.7]}, "recall": {"values": [0.2, 0.4]}}
        scored(plan, name, images=points[-1], fid={"values": [9.0, 10.0]}, **prc)

    return write


def test_there_is_a_module_for_every_kind():
    for kind in get_args(FigureConfig.model_fields["kind"].annotation):
        assert __import__(f"transgan.report.plots.{kind}", fromlist=["draw"]).draw


def test_the_learning_curve_is_written_as_png_and_pdf_of_the_same_bytes_in_another_process(project, trained):
    plan = project()
    for run in plan.figure_runs("learning-curve"):
        trained(plan, run)
    figures.make(plan, "learning-curve")
    base = plan.paths.figure("learning-curve")
    written = {suffix: base.with_suffix(suffix).read_bytes() for suffix in (".png", ".pdf")}
    with Image.open(base.with_suffix(".png")) as image:
        assert image.width > 800
        assert "Software" not in image.info
    assert b"CreationDate" not in written[".pdf"]
    load = f"plan.load(Path({str(plan.file)!r}), 'demo')"
    code = (
        "from pathlib import Path; from transgan.config import plan; from transgan.report import figures; "
        f"figures.make({load}, 'learning-curve')"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={"PYTHONPATH": str(plan.file.parent), "PATH": "", "SOURCE_DATE_EPOCH": "1"},
    )
    assert {suffix: base.with_suffix(suffix).read_bytes() for suffix in written} == written


def labels(plan):
    with style.theme():
        drawn = curve.draw(plan, config_of("curve"))
        return drawn.axes[0].get_legend_handles_labels()[1]


def test_the_authors_curve_is_shown_only_where_it_compares(project, trained):
    for scale, shown in (("demo", False), ("quick", True), ("paper", True)):
        plan = project(scale)
        trained(plan)
        assert any("authors" in label for label in labels(plan)) == shown


def test_the_band_around_the_authors_points_is_what_a_verdict_allows(project, trained):
    plan = project("quick")
    trained(plan, points=(0, 4_000_000, 10_000_000))
    config = plan.figure("learning-curve").model_copy(update={"runs": (RUN,)})
    fid = drawn(curve, plan, config).axes[0]
    (band,) = [each for each in fid.collections if each.get_label() == "counts as on their curve"]
    corners = band.get_paths()[0].vertices
    at_the_end = corners[corners[:, 0] == corners[:, 0].max()][:, 1]
    ends = [10.82 * 0.97 - 0.1, 10.82 * 1.03 + 0.1]
    np.testing.assert_allclose([at_the_end.min(), at_the_end.max()], ends, rtol=1e-3)
    assert fid.get_xscale() == "linear"
    plan = project("paper")
    trained(plan)
    assert drawn(curve, plan, config).axes[0].get_xscale() == "log"  # 128 million images beside 10 million


def test_dynamics_shows_log_spaced_moments_of_a_run_that_has_more(project, trained):
    plan = project("quick")
    recipe = plan.run(RUN).recipe
    trained(plan, points=recipe.snapshots)
    samples = drawn(dynamics, plan, config_of("dynamics")).axes[0]
    assert len(samples.texts) == len(recipe.log_spaced_snapshots) == 8 < len(recipe.snapshots)


def test_the_curve_ends_in_the_score(project, trained):
    plan = project()
    trained(plan)
    assert "TransGAN as on CIFAR-10 (digits, 8 x 8), scored: 9.50" in labels(plan)


def test_history_has_nan_where_nothing_was_measured(project, trained):
    plan = project()
    trained(plan)
    rows = sources.history(plan, RUN)
    assert rows["gap"].tolist() == [50.0, 500.0]
    assert np.isnan(rows["g_loss"]).all()
    with (plan.paths.run(RUN) / "history.csv").open() as file:
        assert list(rows) == next(csv.reader(file))


def test_a_run_that_is_not_there_is_named(project):
    with pytest.raises(UserError, match="transgan train transgan-digits"):
        figures.make(project(), "learning-curve")
    with pytest.raises(UserError, match="learning-curve"):
        figures.make(project(), "learning-curv")


def drawn(module, plan, config):
    with style.theme():
        return module.draw(plan, config)


def test_frames_are_tidy(project, trained):
    plan = project()
    trained(plan)
    along, end = sources.fid_along_training(plan, [RUN]), sources.scores(plan, [RUN], "fid")
    assert along.to_dict("list") == {"run": [RUN] * 3, "images": [0, 100, 1000], "fid": [100.0, 55.0, 10.0]}
    assert end["fid"].tolist() == [9.0, 10.0]
    assert set(end["fid_label"]) == {"FID-digits"}
    assert sources.scores(plan, [RUN], "kid")["kid"].isna().all()


def test_bars_are_the_means_of_the_table(project, scored):
    plan = project("paper")
    scored(plan, "standard-celeba64", fid={"values": [20.0, 22.0]})
    config = plan.figure("ablation").model_copy(update={"runs": ("standard-celeba64", "nystrom-celeba64")})
    (axes,) = drawn(bars, plan, config).axes
    assert axes.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ") == "CelebA, 64 x 64"
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "(A) Standard self-attention",
        "(B) Nystrom self-attention",
    ]
    assert axes.patches[0].get_width() == 21.0
    assert [text.get_text().strip() for text in axes.texts] == ["21.00", "not run"]
    assert set(axes.get_legend_handles_labels()[1]) == {"ours", "paper"}


def test_the_line_of_a_bar_is_the_interval_over_training_seeds_and_one_seed_has_none(project, scored):
    plan = project()
    scored(plan, "transgan-cifar10", fid={"values": [20.0, 22.0]})
    scored(plan, "transgan-cifar10-s1", fid={"values": [22.0, 24.0]})
    scored(plan, "noleak-cifar10", fid={"values": [30.0, 40.0]})
    figure = drawn(bars, plan, plan.figure("deviations"))
    (axes,) = figure.axes
    (lines,) = axes.collections
    ends = {segment[0][1]: [x for x, _ in segment] for segment in lines.get_segments() if len(segment)}
    assert list(ends) == [0.0]
    assert ends[0] == pytest.approx([22 - 12.7062, 22 + 12.7062], abs=1e-3)  # t with one degree of freedom, times 1
    assert axes.get_xlim()[0] == 0
    words = figure.get_supxlabel().replace("\n", " ")
    assert "A bar without a line is of one seed." in words
    assert "below 0" not in words
    scored(plan, "transgan-cifar10-s1", fid={"values": [42.0, 44.0]})
    words = drawn(bars, plan, plan.figure("deviations")).get_supxlabel().replace("\n", " ")
    assert "An interval that passes below 0 is drawn from 0 on" in words


def test_points_lie_at_the_means_with_bars_over_the_seeds(project, trained):
    plan = project()
    trained(plan)
    (axes,) = drawn(precision_recall, plan, config_of("precision_recall")).axes
    bars_of_seeds, points = axes.collections[:2], axes.collections[-1]
    np.testing.assert_allclose(points.get_offsets(), [[0.3, 0.6]])
    ends = sorted(segment.tolist() for bar in bars_of_seeds for segment in bar.get_segments())
    np.testing.assert_allclose(ends, [[[0.2, 0.6], [0.4, 0.6]], [[0.3, 0.5], [0.3, 0.7]]])
    assert axes.get_legend_handles_labels()[1] == ["TransGAN as on CIFAR-10 (digits, 8 x 8): 0.60, 0.30"]
    (axes,) = drawn(compute, plan, config_of("compute")).axes
    assert axes.collections[-1].get_offsets()[0, 1] == 9.5
    assert "FID-digits" in axes.get_ylabel()


def test_compute_has_a_panel_for_each_dataset_with_two_runs(project, trained):
    plan = project()
    runs = ("transgan-cifar10", "wgan-gp-cifar10", "stylegan2-cifar10", "transgan-stl10")
    for run in runs:
        trained(plan, run)
    # StyleGAN2 is scored by another protocol on CIFAR-10, and STL-10 has a single run.
    (axes,) = drawn(compute, plan, config_of("compute", *runs)).axes
    assert len(axes.collections[-1].get_offsets()) == 2
    assert "TransGAN as on CIFAR-10 (digits, 8 x 8), 113k parameters in G" in axes.get_legend_handles_labels()[1]
    assert len(drawn(compute, plan, config_of("compute", "transgan-cifar10", "transgan-stl10")).axes) == 2


def test_the_bottom_line_says_what_the_figure_stands_for(project, trained):
    for scale, comparable in (("demo", False), ("paper", True)):
        plan = project(scale)
        trained(plan)
        words = " ".join(drawn(dynamics, plan, config_of("dynamics"))._supxlabel.get_text().split())
        assert words.startswith(f"Figure 9 of the paper. Scale {scale}: ")
        assert ("not comparable with the paper" in words) != comparable


def test_a_run_without_precision_and_recall_is_named(project, trained, scored):
    plan = project()
    trained(plan)
    scored(plan, RUN, fid={"values": [9.0]})
    with pytest.raises(UserError, match=f"{RUN} has no precision and recall"):
        drawn(precision_recall, plan, config_of("precision_recall"))


def test_attention_distance_has_a_line_per_layer_and_a_dot_per_head(project, trained):
    plan = project()
    trained(plan)
    config = config_of("attention_distance")
    along, depth = drawn(attention_distance, plan, config).axes
    assert sum(len(line.get_xdata()) == 3 for line in along.get_lines()) == 3
    assert [text.get_text() for text in along.get_legend().get_texts()] == ["1", "2", "3"]
    assert len(depth.collections[0].get_offsets()) == 3 * 4


def test_dynamics_shows_every_moment(project, trained):
    plan = project()
    trained(plan)
    samples, gap, fid = drawn(dynamics, plan, config_of("dynamics")).axes
    assert samples.get_title(loc="left") == "TransGAN as on CIFAR-10 (digits, 8 x 8)"
    assert [text.get_text() for text in samples.texts] == ["0", "100", "1k"]
    assert gap.get_lines()[0].get_ydata().tolist() == [50.0, 500.0]
    assert fid.get_lines()[0].get_ydata().tolist() == [100.0, 55.0, 10.0]


def test_the_theme_leaves_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    with style.theme():
        assert mpl.rcParams["axes.grid"]
    assert dict(mpl.rcParams) == before
