"""Compares the numbers that each stage computes on a tiny run with committed ones.

They may change only together with the stage's version. Tolerances allow for another machine's rounding. `python -m
tests.test_golden` rewrites the numbers.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import TINY
from transgan.config import plan as plans
from transgan.config.fingerprint import STAGE_VERSION
from transgan.utils import files

GOLDEN = Path(__file__).parent / "golden.json"
RUN = "one-cifar10"
TOLERANCE = {"prepare": 0.0, "classifier": 0.05, "reference": 0.05, "train": 0.01, "score": 0.05}


def compute() -> dict[str, dict[str, float]]:
    """Numbers of every stage of a tiny run in the current directory, which holds a params.yaml."""
    import numpy as np
    from safetensors.numpy import load_file

    from transgan.data import fetch, prepare
    from transgan.scoring import classifier, reference, score
    from transgan.training import train

    plan = plans.load()
    for dataset in plan.datasets:
        fetch.fetch(plan, dataset)
        prepare.prepare(plan, dataset)
    classifier.train(plan, "digits")
    reference.compute(plan, plan.run(RUN).reference)
    train.train(plan, RUN)
    score.score(plan, RUN)

    manifest = files.read_json(plan.paths.data("cifar10") / "manifest.json")
    with np.load(plan.paths.reference(plan.run(RUN).reference)) as statistics:
        mu, sigma = statistics["mu"], statistics["sigma"]
    weights = load_file(plan.paths.run(RUN) / "generator.safetensors")
    history = (plan.paths.run(RUN) / "history.csv").read_text().splitlines()
    last = dict(zip(history[0].split(","), history[-1].split(","), strict=True))
    scores = files.read_json(plan.paths.score(RUN))["protocols"]["few"]
    return {
        "prepare": {"content": int(manifest["sha256"][:12], 16), "count": manifest["count"]},
        "classifier": {
            "weights": float(sum(abs(value).sum() for value in load_file(plan.paths.classifier("digits")).values()))
        },
        "reference": {"mu": float(np.linalg.norm(mu)), "trace": float(np.trace(sigma))},
        "train": {
            "weights": float(sum(abs(value.astype(np.float64)).sum() for value in weights.values())),
            "d_loss": float(last["d_loss"]),
            "gradient_penalty": float(last["gradient_penalty"]),
        },
        "score": {metric: values["values"][0] for metric, values in scores.items()},
    }


def tiny_params() -> str:
    """The tiny params with so few steps that rounding errors stay small."""
    content: dict[str, Any] = yaml.safe_load(TINY.read_text())
    content["scales"]["tiny"]["recipes"]["short"] = {"images": 64, "log_images": 64, "dynamics": {"first": 32}}
    content["scales"]["tiny"]["classifiers"]["digits"] = {"epochs": 5, "accuracy": 0.5}
    return yaml.safe_dump(content)


@pytest.mark.slow
def test_stages_compute_the_numbers_of_their_versions(project: Path) -> None:
    (project / "params.yaml").write_text(tiny_params())
    computed, golden = compute(), json.loads(GOLDEN.read_text())
    for stage, numbers in computed.items():
        where = f"STAGE_VERSION[{stage!r}]"
        assert golden["versions"][stage] == STAGE_VERSION[stage], (
            f"{where} was raised: renew the numbers with `python -m tests.test_golden`"
        )
        assert numbers == pytest.approx(golden["numbers"][stage], rel=TOLERANCE[stage], abs=1e-3), (
            f"what {stage} computes has changed: raise {where}"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("params.yaml").write_text(tiny_params())
        numbers = compute()
    files.write_json(GOLDEN, {"versions": {stage: STAGE_VERSION[stage] for stage in numbers}, "numbers": numbers})
