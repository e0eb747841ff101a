"""The anatomy of the leak as a finding: which runs it trains, how long, and what its files say of known gradients."""

import re

import pandas as pd
import pytest

from tests.conftest import ROOT
from transgan.errors import UserError
from transgan.report import leak
from transgan.training import leak_anatomy


@pytest.fixture
def plan(project):
    return project("findings", ROOT / "workflow/findings.yaml")


@pytest.fixture
def trained(monkeypatch):
    """What was trained: (n_critic, leak, images of the run, images trained). The leak is half of D's own, opposed."""
    found = []

    def measure(plan, run, images):
        recipe = plan.run(run).recipe
        found.append((recipe.n_critic, recipe.leak_generator_gradient, recipe.images, images))
        return [{"step": i, "images": 32 * i, "leaked": 1.0, "own": 2.0, "cosine": -1.0} for i in range(1, 4)]

    monkeypatch.setattr(leak_anatomy, "measure", measure)
    return found


def test_a_run_is_trained_with_the_leak_once_per_n_critic(plan, trained):
    csv, markdown, png, pdf = leak.make(plan, "noleak1-digits", [1, 4], 320)
    assert trained == [(1, True, 6400, 320), (4, True, 6400, 320)]  # the run's own schedule, cut short
    frame = pd.read_csv(csv)
    assert frame["n_critic"].tolist() == [1, 1, 1, 4, 4, 4]
    assert frame["kept"].tolist() == pytest.approx([0.5] * 6)
    text = markdown.read_text().replace("\\", "")
    assert "its first 320 of 6,400 images" in text
    assert "0.50 [0.50, 0.50]" in text
    assert "0%" in text
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")


def test_by_default_the_whole_run_is_trained(plan, trained):
    leak.make(plan, "leak2-digits", [2], None)
    assert trained == [(2, True, 6400, 6400)]


@pytest.mark.parametrize(("images", "n_critics"), [(0, [1]), (6401, [1]), (320, []), (320, [1, 1])])
def test_bad_input(plan, trained, images, n_critics):
    with pytest.raises(UserError, match=r"--images|--n-critic"):
        leak.make(plan, "leak2-digits", n_critics, images)
    assert not trained


@pytest.mark.parametrize("largest", [0.45, 45.0])
def test_sizes_are_labelled_with_plain_decimals(plan, largest):
    rows = [
        {"images": 32 * i, "n_critic": 1, "leaked": size, "own": 1.0, "cosine": 0.0}
        for i, size in ((1, 0.11), (99, largest))
    ]
    figure = leak.draw(pd.DataFrame(rows * leak.SMOOTHED).sort_values("images"))
    figure.canvas.draw()
    size = figure.axes[0].yaxis
    low, high = sorted(size.get_view_interval())
    places = [
        *zip(size.get_majorticklocs(), size.get_majorticklabels(), strict=True),
        *zip(size.get_minorticklocs(), size.get_minorticklabels(), strict=True),
    ]
    labels = [label.get_text() for place, label in places if low <= place <= high and label.get_text()]
    assert len(labels) >= 2
    assert all(re.fullmatch(r"[\d.]+", label) for label in labels)
