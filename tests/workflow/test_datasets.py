"""Every dataset end to end: from a local server or a folder, through Snakemake and DVC, to a pack, a run and a score.

The archives have the real names, formats and layouts, with a few dozen images each. Packs have 8 x 8 pixels, so one
tiny model fits all.
"""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from transgan.data.pack import Pack

from ..conftest import TINY
from ..data import http_server, sample_archives
from .conftest import Project, make_project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("datasets")]

SIDE = 8
COSTLY = ("prepare", "classifier", "reference", "train", "score")
CELEBA_TRAIN = 72
# As many as the digit classifier has features and a few more, or FID is refused: {dataset: {split: pictures}}.
COUNTS = {
    "cifar10": {"train": 75, "test": 15},
    "stl10": {"train": 30, "unlabeled": 50},
    "celeba64": {"train": CELEBA_TRAIN},
    "celebahq256": {"train": 70},
    "church256": {"train": 68},
    "mine": {"train": 66},
}
SOURCES: dict[str, dict[str, Any]] = {
    "cifar10": {"source": "cifar10"},
    "stl10": {"source": "stl10", "resize": "bilinear", "train_splits": ["train", "unlabeled"]},
    "celeba64": {"source": "celeba", "resize": "bilinear", "crop": "face148"},
    "celebahq256": {"source": "celebahq", "resize": "bilinear"},
    "church256": {"source": "lsun", "resize": "bilinear", "allow_partial": True},
    "mine": {"source": "folder", "path": "pictures", "crop": "center"},
}
PUBLISHED_CHURCHES = 126_227


def archives(scratch: Path) -> dict[str, bytes]:
    """What the server has: every source's files, with the numbers of pictures of COUNTS."""
    return sample_archives.with_sums(
        sample_archives.cifar10(per_batch=15)
        | sample_archives.stl10(30, 50)
        | sample_archives.celeba(CELEBA_TRAIN)
        | sample_archives.celebahq(70, 64)
        | sample_archives.lsun(scratch, 68)
    )


def params(mirror: str) -> str:
    """params.yaml: the tiny one with the six datasets, one short run on each, and a table of them all."""
    content = yaml.safe_load(TINY.read_text())
    content["data"]["mirror"] = mirror
    datasets = {
        name: source
        | {"resolution": SIDE, "splits": [{"name": split, "count": count} for split, count in COUNTS[name].items()]}
        for name, source in SOURCES.items()
    }
    datasets["celeba64"]["splits"][0]["parts"] = ["train", "valid", "test"]
    datasets["church256"]["splits"][0]["count"] = PUBLISHED_CHURCHES
    content["datasets"] = {"digits": content["datasets"]["digits"], **datasets}
    content["recipes"]["short"] |= {
        "images": 64,
        "log_images": 32,
        "dynamics": {"points": 2, "first": 32, "latents": 4},
    }
    few = content["protocols"]["few"] | {"samples": 100, "kid_subset_size": 50, "seeds": [0]}
    content["protocols"] = {"few": few, "both": few | {"splits": ["train", "unlabeled"]}}
    protocols = {name: "both" if name == "stl10" else "few" for name in datasets}
    content["runs"] = {
        f"on-{name}": {"dataset": name, "model": "small", "recipe": "short", "protocol": protocols[name]}
        for name in datasets
    }
    columns = [{"dataset": name, "title": name, "metrics": ["is", "fid"]} for name in datasets]
    row = {"name": "Tiny", "runs": {name: [f"on-{name}"] for name in datasets}}
    content["tables"] = {
        "all": {"title": "One run on each dataset", "source": "no paper", "columns": columns, "rows": [row]}
    }
    content["scales"]["tiny"] |= {
        kind: {name: {} for name in content[kind]} for kind in ("datasets", "protocols", "runs")
    }
    return yaml.safe_dump(content, sort_keys=False)


def place_pictures(folder: Path) -> None:
    """A user's own pictures: two folders of different things, PNG and JPEG, not square."""
    for index in range(COUNTS["mine"]["train"]):
        kind, suffix = ("PNG", "png") if index % 2 else ("JPEG", "jpg")
        path = folder / ("cats" if index < 20 else "dogs") / f"{index:03d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample_archives.encode(sample_archives.pixels(index, 24, 32), kind))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http_server.Server]:
    with http_server.serving(archives(tmp_path_factory.mktemp("archives") / "lsun")) as server:
        yield server


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory, server: http_server.Server) -> Project:
    """The project after `snakemake reproduce_tables`."""
    project = make_project(tmp_path_factory.mktemp("datasets") / "project", params(server.url))
    place_pictures(project.root / "pictures")
    project.snakemake()
    return project


def packs(project: Project) -> dict[str, Pack]:
    return {name: Pack.open(project.root / "data" / "tiny" / name) for name in COUNTS}


def test_every_archive_was_fetched_once(reproduced: Project, server: http_server.Server) -> None:
    fetched = Counter(name for name, _ in server.requests if name != "SHA256SUMS")
    # CelebA's landmarks are for `crop: landmarks` only.
    unneeded = {"SHA256SUMS", "list_landmarks_align_celeba.txt"}
    assert fetched == Counter(name for name in server.files if name not in unneeded)


def test_every_dataset_became_a_pack(reproduced: Project) -> None:
    found = packs(reproduced)
    for name, pack in found.items():
        assert {split: stop - start for split, (start, stop) in pack.manifest["splits"].items()} == COUNTS[name]
        assert pack.images.shape == (sum(COUNTS[name].values()), SIDE, SIDE, 3)
        assert len(np.unique(pack.images.reshape(len(pack.images), -1), axis=0)) > len(pack.images) // 2
        assert (reproduced.root / "data/tiny" / name / "contact.png").stat().st_size > 0
    assert len({pack.sha256 for pack in found.values()}) == len(found)
    assert found["cifar10"].manifest["classes"] == sample_archives.CIFAR_CLASSES
    assert found["mine"].manifest["classes"] == ["cats", "dogs"]
    assert Counter(found["mine"].labels.tolist()) == {0: 20, 1: COUNTS["mine"]["train"] - 20}
    assert (found["stl10"].labels[found["stl10"].rows(["unlabeled"])] == -1).all()


def test_a_run_was_trained_and_scored_on_each(reproduced: Project) -> None:
    for name, pack in packs(reproduced).items():
        run = json.loads((reproduced.root / f"results/tiny/runs/on-{name}/run.json").read_text())
        score = json.loads((reproduced.root / f"results/tiny/scores/on-{name}.json").read_text())
        assert run["data"] == score["data"] == pack.sha256
        assert run["images"] == 64
        with Image.open(reproduced.root / f"results/tiny/runs/on-{name}/samples.png") as samples:
            assert samples.height > SIDE
        (metrics,) = score["protocols"].values()
        assert {"is", "fid", "kid", "precision", "recall"} <= set(metrics)
        assert all(math.isfinite(value) for metric in metrics.values() for value in metric["values"])
        assert metrics["fid"]["values"][0] > 0
    with (reproduced.root / "results/tiny/tables/all.csv").open() as file:
        cells = {(row["run"], row["metric"]): float(row["ours"]) for row in csv.DictReader(file)}
    assert set(cells) == {(f"on-{name}", metric) for name in COUNTS for metric in ("is", "fid")}


def test_dvc_makes_the_same_and_repeats_nothing(reproduced: Project, server: http_server.Server) -> None:
    work = {stage: reproduced.work(stage) for stage in COSTLY}
    assert {stage: len(done) for stage, done in work.items()} == {
        "prepare": 7,
        "classifier": 1,
        "reference": 6,
        "train": 6,
        "score": 6,
    }
    made, requests = reproduced.bytes(), Counter(name for name, _ in server.requests)
    reproduced.dvc("repro")
    assert {stage: reproduced.work(stage) for stage in COSTLY} == work
    assert reproduced.bytes() == made
    again = Counter(name for name, _ in server.requests) - requests
    assert set(again) <= {"SHA256SUMS"}
    assert "Nothing to be done" in reproduced.snakemake()
