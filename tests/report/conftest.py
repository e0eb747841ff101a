"""A project folder with invented scores, so that tables can be checked against known numbers."""

from pathlib import Path

import pytest

from transgan.config import plan
from transgan.utils import files

PARAMS = Path(__file__).parents[2] / "params.yaml"
PROVENANCE = {
    "commit": "c" * 40,
    "dirty": False,
    "mlflow_run_id": "m" * 32,
    "started": "2026-01-01T00:00:00+00:00",
    "finished": "2026-01-01T01:00:00+00:00",
    "hardware": {"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "gpus": []},
}
SETTINGS = ("extractor", "feature_layer", "samples", "splits", "quantize", "is_splits", "seeds", "precision")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Load params.yaml at a scale, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return lambda scale="demo", params=PARAMS: plan.load(params, scale)


@pytest.fixture
def scored():
    """Write a run's scores as the score stage writes them."""

    def write(plan, name, images=None, **metrics):
        run = plan.run(name)
        protocol = run.protocol.plain()
        content = {
            "run": name,
            "fingerprint": plan.fingerprint("score", name),
            "train_fingerprint": plan.fingerprint("train", name),
            "images": images or run.recipe.images,
            "data": "d" * 64,
            "protocols": {run.protocol_name: metrics},
            "settings": {run.protocol_name: {**{key: protocol[key] for key in SETTINGS}, "reference_count": 1234}},
            "warnings": {run.protocol_name: []},
        }
        files.write_json(plan.paths.score(name), content)

    return write
