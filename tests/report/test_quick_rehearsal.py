"""The scale `quick` at a ten-thousandth of its length: CIFAR-10's own format, FID along training, the verdict.

params.yaml's own entries are used. Only sizes change: the archive holds 40 training images, the networks are narrow,
Inception has random weights, and the authors' points are scaled like the run. Numbers therefore mean nothing; the test
shows that every part that holds a run against the authors' curve does so.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from tests.conftest import ROOT
from tests.data import sample_archives
from transgan.commands import curve_positions
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey
from transgan.data.fetch import fetch
from transgan.data.prepare import prepare
from transgan.metrics import authors_curve, training_fid
from transgan.report import figures, tables
from transgan.report.plots import curve, style
from transgan.scoring import reference
from transgan.scoring.score import score
from transgan.tracking import sync
from transgan.tracking.connection import connect
from transgan.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a minute or two on idle cores

RUN = "transgan-cifar10"
SHORTER = 10_000
SAMPLES, PER_BATCH = 8, 8
GENERATOR = {"latent": 16, "width": 64}
DISCRIMINATOR = {"width": 64}


@pytest.fixture
def scaled_curve(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The authors' points at a ten-thousandth of their image counts, for FIDs of few samples."""
    rows = authors_curve._rows()
    shorter = [{**row, "real_images_millions": str(float(row["real_images_millions"]) / SHORTER)} for row in rows]
    monkeypatch.setattr(authors_curve, "_rows", lambda: shorter)
    monkeypatch.setattr(authors_curve, "SAMPLES", SAMPLES)
    authors_curve.authors_curve.cache_clear()
    yield
    authors_curve.authors_curve.cache_clear()


def random_inception(path: Path) -> None:
    """Write a state dict of the published network with random weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(torch, "load", lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        state = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path)).state_dict()
        for weight in state.values():
            if weight.ndim == 4:  # convolutions, so that features keep their size through the layers
                torch.nn.init.kaiming_normal_(weight)
    torch.save(state, path)


def quick_in_miniature(folder: Path) -> Path:
    """params.yaml with the scale `quick` alone, its sizes reduced."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    quick = content["scales"]["quick"]
    content |= {"scale": "quick", "scales": {"quick": quick}, "data": {"mirror": str(folder / "mirror")}}
    content["execution"] = {"device": "cpu"}
    splits = [{"name": "train", "count": 5 * PER_BATCH}, {"name": "test", "count": PER_BATCH}]
    quick["datasets"]["cifar10"] = {"splits": splits}
    quick["models"]["cifar10"] = {"generator": GENERATOR, "discriminator": DISCRIMINATOR}
    schedule = {"images": quick["recipes"]["cifar10"]["images"] // SHORTER, "batch": 40, "generator_batch": 8}
    quick["recipes"]["cifar10"] = {**schedule, "ema": {"kimg": 0.1}, "log_images": 100}
    quick["protocols"]["fid50k-train"] = {
        "metrics": ["fid"],
        "samples": SAMPLES,
        "weights": str(folder / "inception.pth"),
        "allow_few_samples": True,
        "seeds": [0],
    }
    counts = quick["runs"][RUN]["recipe"]["dynamics"]["at"]
    quick["runs"][RUN]["recipe"]["dynamics"] = {
        "at": [count // SHORTER for count in counts if count in (2_950_000, 3_500_000, 4_500_000, 9_700_000)],
        "points": 4,
        "first": 50,
        "latents": 16,
        "fid_samples": SAMPLES,
    }
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def reproduced(folder: Path) -> Plan:
    """Fetch, prepare, reference, train, score, figure and table of the run."""
    for name, archive in sample_archives.with_sums(sample_archives.cifar10(PER_BATCH)).items():
        (folder / "mirror").mkdir(exist_ok=True)
        (folder / "mirror" / name).write_bytes(archive)
    random_inception(folder / "inception.pth")
    quick_in_miniature(folder)
    plan = plans.load()
    fetch(plan, "cifar10")
    prepare(plan, "cifar10")
    reference.compute(plan, ReferenceKey("cifar10", "fid50k-train"))
    train(plan, RUN)
    score(plan, RUN)
    figures.make(plan, "learning-curve")
    tables.make(plan, "unconditional")
    return plan


def test_a_short_run_is_held_against_the_authors_curve_everywhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scaled_curve: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plan = reproduced(tmp_path)

    # FID was measured at the chosen counts and printed as it was measured.
    run = plan.run(RUN)
    along = training_fid.measured(plan, run)
    assert [images for images, _ in along] == [320, 360, 480, 1000]
    printed = [line for line in capsys.readouterr().err.splitlines() if "the authors' curve at" in line]
    assert len(printed) == len(along)
    assert f"FID {along[0][1]:.2f}, theirs 37.34" in printed[0]

    # The table says where the run stands, by the score at its end.
    cells = pd.read_csv(plan.paths.table("unconditional").with_suffix(".csv"))
    (cell,) = cells[(cells["run"] == RUN) & (cells["metric"] == "fid")].to_dict("records")
    assert cell["verdict"].startswith("partial, ")
    assert cell["curve_fid"] == pytest.approx(10.82)
    assert cell["curve_difference"] == pytest.approx(cell["mean"] - 10.82)
    markdown = plan.paths.table("unconditional").with_suffix(".md").read_text()
    assert f"({cell['verdict']}: {cell['curve_difference']:+.2f})".replace("-", "−") in markdown
    assert "docs/tables.md#the-authors-learning-curve" in markdown

    # The figure shows both curves; `transgan plan` shows every point; MLflow has them, too.
    with Image.open(plan.paths.figure("learning-curve").with_suffix(".png")) as image:
        assert image.width > 800
    with style.theme():
        legend = curve.draw(plan, plan.figure("learning-curve").model_copy(update={"runs": (RUN,)})).axes[0]
    assert any("authors' own log" in label for label in legend.get_legend_handles_labels()[1])
    positions = curve_positions.of(plan, run)
    assert positions is not None
    assert [entry["images"] for entry in positions] == [320, 360, 480, 1000, 1000]
    assert positions[-1]["measured"] == "scored"
    sync(plan)
    store = connect("quick")
    (tracked,) = store.client.search_runs([store.experiment], f"tags.run = '{RUN}'")
    assert store.values(tracked.info.run_id, "fid_along_training") == dict(along)
    assert set(store.values(tracked.info.run_id, "curve_difference")) == {images for images, _ in along}
    assert "the authors' curve at 1k images" in tracked.data.tags["authors_curve"]
    assert store.values(tracked.info.run_id, "score/curve_difference.cifar10.fid50k-train")[0] == pytest.approx(
        cell["curve_difference"]
    )
