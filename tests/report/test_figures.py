"""Figures from known outputs: drawn for every kind, the same bytes in two processes, and what they show."""

import csv
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from transgan.errors import UserError
from transgan.report import figures
from transgan.report.paper_numbers import authors_curve
from transgan.report.plots import curve, sources, style
from transgan.schema import FigureConfig
from transgan.utils import files
from transgan.utils.image_grid import make_grid

RUN = "transgan-cifar10"


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
        scored(plan, name, images=points[-1], fid={"values": [9.0, 10.0]})

    return write


def test_there_is_a_module_for_every_kind():
    for kind in get_args(FigureConfig.model_fields["kind"].annotation):
        assert __import__(f"transgan.report.plots.{kind}", fromlist=["draw"]).draw


def test_the_learning_curve_is_written_as_png_and_pdf_of_the_same_bytes_in_another_process(project, trained):
    plan = project()
    trained(plan)
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
        drawn = curve.draw(plan, plan.figure("learning-curve"))
        return drawn.axes[0].get_legend_handles_labels()[1]


def test_the_authors_curve_is_shown_only_where_it_compares(project, trained):
    for scale, shown in (("demo", False), ("quick", True), ("paper", True)):
        plan = project(scale)
        trained(plan)
        assert any("authors" in label for label in labels(plan)) == shown


def test_the_curve_ends_in_the_score(project, trained):
    plan = project()
    trained(plan)
    assert "transgan-cifar10, scored: 9.50" in labels(plan)


def test_the_authors_curve_is_read_in_real_images():
    points = authors_curve("cifar10")
    assert [(points[0].images, points[0].fid), (points[-1].images, points[-1].fid)] == [(2.95e6, 39.6), (1.0e7, 10.82)]
    assert authors_curve("stl10") == ()


def test_history_has_nan_where_nothing_was_measured(project, trained):
    plan = project()
    trained(plan)
    rows = sources.history(plan, RUN)
    assert rows["gap"].tolist() == [50.0, 500.0]
    assert np.isnan(rows["g_loss"]).all()
    with (plan.paths.run(RUN) / "history.csv").open() as file:
        assert list(rows) == next(csv.reader(file))


def test_a_grid_places_pictures_in_reading_order():
    pictures = np.zeros((3, 2, 2, 3), np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None]
    sheet = make_grid(pictures, columns=2)
    assert sheet.shape == (5, 5, 3)
    assert sheet[:, :, 0].tolist() == [[0, 0, 255, 1, 1]] * 2 + [[255] * 5] + [[2, 2, 255, 255, 255]] * 2


def test_a_run_that_is_not_there_is_named(project):
    with pytest.raises(UserError, match="transgan train transgan-cifar10"):
        figures.make(project(), "learning-curve")
    with pytest.raises(UserError, match="learning-curve"):
        figures.make(project(), "learning-curv")
