"""The project folder in which a session trains on the packed images: its params file, and the names in it.

The networks and the recipe are those of params.yaml at the scale `paper`; in a dry run those of the demo, at 8 pixels.
"""

from pathlib import Path
from typing import Any

import yaml

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
SCALE, RUN, DATASET, PROTOCOL = "session", "cifar10-jpeg", "cifar10-jpeg", "fid768"
IMAGES, WEIGHTS = "images.tar", "inception-768.pth"  # unpacked in the project folder
SCORED, DRY_SCORED = 10_000, 16  # samples, and training images that they are compared with


def folder(work: Path) -> Path:
    """The project folder of a session that works in `work`."""
    return work / "project"


def write_params(work: Path, count: int, device: str, dry_run: bool, changes: dict[str, Any] | None = None) -> Path:
    """Write params.yaml for `count` packed images into the project folder; `changes` are made to the recipe.

    Returns its path.
    """
    text = yaml.safe_load(PARAMS.read_text())
    entry = "digits" if dry_run else "cifar10"
    scored = DRY_SCORED if dry_run else SCORED
    split = {"name": "train", "count": count}
    protocol = {
        "metrics": ["fid"],
        "extractor": "inception-v3-compat",
        "weights": WEIGHTS,
        "feature_layer": "768",
        "samples": scored,
        "reference_samples": scored,
        "splits": ["train"],
        "quantize": "round",
        "seeds": [0],
        "allow_few_samples": dry_run,
        "threads": 1 if dry_run else 8,
    }
    params = {
        "scale": SCALE,
        "execution": {"device": device},
        "datasets": {
            # The classifier of digits is always an entry; no protocol here uses it.
            "digits": text["datasets"]["digits"],
            DATASET: {"source": "folder", "path": IMAGES, "resolution": 8 if dry_run else 32, "splits": [split]},
        },
        "models": {entry: text["models"][entry]},
        "recipes": {entry: {**text["recipes"][entry], **(changes or {})}},
        "protocols": {PROTOCOL: protocol},
        "classifiers": text["classifiers"],
        "runs": {RUN: {"dataset": DATASET, "model": entry, "recipe": entry, "protocol": PROTOCOL}},
        "tables": {},
        "figures": {},
    }
    kinds = ("datasets", "models", "recipes", "protocols", "classifiers", "runs")
    at_scale = {kind: {name: {} for name in params[kind]} for kind in kinds}
    params["scales"] = {SCALE: {"description": "one GPU session", "comparable": False, **at_scale}}
    path = folder(work) / "params.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return path
