"""`transgan seams` on invented runs: a seam that is planted early in training and gone at the end."""

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.metrics.test_seams import smooth_noise, with_seams
from transgan.config import plan as plans
from transgan.data.pack import content_digest
from transgan.errors import UserError
from transgan.metrics.seams import gradient_energy
from transgan.report import seams
from transgan.utils import files

LATENTS, TILE = 200, 4
MOMENTS = [0, 1000, 2000]
GRID, STANDARD = "grid, tiles of 4 x 4", "standard"


def pictures(seed: int) -> np.ndarray:
    return np.clip(smooth_noise(LATENTS, seed), 0, 255)


def planted(images: np.ndarray, times: float) -> np.ndarray:
    """A seam that multiplies the energy across borders by 1 + times."""
    return with_seams(images, times * gradient_energy(images, TILE).across.mean())


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The runs of findings, three seeds of each form: only grid attention has a seam, of three times the energy."""
    monkeypatch.chdir(tmp_path)
    plan = plans.load(ROOT / "workflow/findings.yaml")
    folder = plan.paths.data("digits16")
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", pictures(99).astype(np.uint8))
    np.save(folder / "labels.npy", np.zeros(LATENTS, np.int64))
    sha256 = content_digest({name: files.sha256(folder / name) for name in ("images.npy", "labels.npy")})
    splits = {"train": [0, LATENTS], "test": [0, 0]}
    content = {"resolution": 16, "count": LATENTS, "sha256": sha256, "splits": splits, "classes": []}
    files.write_json(folder / "manifest.json", content)
    names = [name for name in plan.runs if name.startswith(("grid", "standard", "axis", "nystrom"))]
    for place, name in enumerate(names):
        times = (0.0, 2.0, 0.0) if name.startswith("grid") else (0.0, 0.0, 0.0)
        drawn = [planted(pictures(10 * place + i), times[i]) for i in range(3)]
        distances = 0 if name.startswith("nystrom") else 3
        plan.paths.run(name).mkdir(parents=True)
        np.savez(
            plan.paths.run(name) / "dynamics.npz",
            images=np.array(MOMENTS),
            pictures=np.clip(drawn, 0, 255).astype(np.uint8),
            attention_distance=np.arange(3 * distances * 2, dtype=np.float32).reshape(3, distances, 2),
            attention_layers=np.array([f"stages.{min(i, 1) * 2}.blocks.{i}.attention" for i in range(distances)], "U"),
            fid=np.full(3, np.nan),
        )
    return plan


def test_the_planted_seam_is_found_where_it_is(plan):
    written = seams.make(plan, "grid-digits16")
    assert [path.name for path in written] == [
        *(f"seams-grid-digits16.{suffix}" for suffix in ("csv", "md", "png", "pdf")),
        "seams-grid-digits16-spectra.csv",
    ]
    frame = pd.read_csv(written[0])
    assert len(frame) == 12 * 3 + 1
    assert (frame["tile"] == TILE).all()
    assert frame["seams_of_noise"].nunique() == 1
    assert frame["seams_of_noise"][0] == pytest.approx(1, rel=0.1)  # these data are alike everywhere
    at = frame.groupby(["line", "images"])["seams"].mean()
    assert at[GRID, 1000] == pytest.approx(3, rel=0.1)
    others = at.drop((GRID, 1000))
    assert others.between(0.9, 1.1).all(), others
    covered = frame[(frame["line"] == STANDARD)].eval("seams_low < 1 < seams_high")
    assert covered.sum() >= 7  # of nine
    distances = frame.groupby(["line", "images"])["attention_distance"].mean()
    assert distances[STANDARD, 0] == pytest.approx(np.mean([2, 3, 4, 5]))  # layers 1 and 2 are of the last stage
    assert np.isnan(distances["nystrom", 0])
    real = frame[frame["line"] == "real images"].iloc[0]
    assert real["seams"] == pytest.approx(1)  # there are as many real images as samples
    assert real["spectral_distance"] == pytest.approx(0)
    assert frame["spectral_distance"].max() == frame[frame["line"] == GRID]["spectral_distance"].max()
    spectra = pd.read_csv(written[4])
    assert spectra["frequency"].max() == 8
    assert spectra["power"].notna().all()
    assert written[2].stat().st_size > 10_000

    text = written[1].read_text()
    assert "12 runs with 200 samples each; tiles of 4 pixels" in text
    header, row = (
        next(line for line in text.splitlines() if line.startswith(start)) for start in ("| Images", "| 1,0")
    )
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (header, row)), strict=True))
    quotient = cells[f"against standard<br>{GRID}"].replace("\\", "")
    value, low, high = (float(part) for part in quotient.replace("[", "").replace("]", "").replace(",", "").split())
    assert low < value < high
    assert value == pytest.approx(3, rel=0.1)
    assert f"against standard<br>{STANDARD}" not in header


def test_what_cannot_be_measured_is_one_clear_line(plan):
    with pytest.raises(UserError, match="standard-digits16: its generator has no tiles; name a run with"):
        seams.make(plan, "standard-digits16")
    with pytest.raises(UserError, match="leak2-digits: is of another dataset than grid-digits16"):
        seams.make(plan, "grid-digits16", ["leak2-digits"])
    (plan.paths.run("axis-digits16-s1") / "dynamics.npz").unlink()
    with pytest.raises(UserError, match=r"run `transgan train axis-digits16-s1 .*` first"):
        seams.make(plan, "grid-digits16")


def test_intervals_of_ratios_are_of_their_logarithms():
    value, low, high = seams.log_interval([0.5, 2.0])
    assert value == pytest.approx(1)
    assert low == pytest.approx(1 / high)
    # Student's t with one degree of freedom, 12.706, times the standard error of the logarithms, log(4) / 2.
    assert np.log(high) == pytest.approx(12.7062 * np.log(4) / 2, rel=1e-4)


def test_runs_of_the_same_form_are_told_apart(plan):
    both = seams.lines(plan, ["grid-digits16", "grid-digits16-s1", "leak2-digits", "standard-digits16"])
    assert both == {
        GRID: ["grid-digits16", "grid-digits16-s1"],
        "standard (leak2-digits)": ["leak2-digits"],
        "standard (standard-digits16)": ["standard-digits16"],
    }
