"""A tracked run of the demo, and the files that its train and score stages write."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from transgan.config.plan import Plan
from transgan.models import build_generator
from transgan.models.serialization import save_generator
from transgan.tracking import Tracker
from transgan.tracking.connection import connect
from transgan.utils import files

PARAMS = Path(__file__).parents[2] / "params.yaml"
RUN = "transgan-cifar10"
DATA = "d" * 64


def rows(*images: int) -> list[dict[str, float]]:
    """Rows of a history at these image counts."""
    return [{"images": n, "step": n // 32, "d_loss": -float(n), "gap": n / 2} for n in images]


def opened(demo: Plan, run_id: str | None = None) -> Tracker:
    """A tracker of RUN, new or of the MLflow run `run_id`."""
    return Tracker.open(demo, demo.runs[RUN], demo.fingerprint("train", RUN), DATA, run_id)


def history(run_id: str | None, key: str) -> list[tuple[int, float]]:
    """The values of a metric, read back from the database."""
    return [(m.step, m.value) for m in connect("demo").client.get_metric_history(str(run_id), key)]


def finished_run(
    demo: Plan, mlflow_run_id: str | None = None, images: Sequence[int] = (1600, 3200), run: str = RUN
) -> None:
    """Write what the train and score stages of `run` write."""
    folder = demo.paths.run(run)
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = demo.fingerprint("train", run)
    files.write_json(folder / "run.json", {"run": run, "fingerprint": fingerprint, "data": DATA, "images": images[-1]})
    header = ["images", "step", "d_loss", "gap", "late"]
    files.write_csv(
        folder / "history.csv", header, [[r["images"], r["step"], r["d_loss"], r["gap"], ""] for r in rows(*images)]
    )
    now = datetime.now(UTC).isoformat()
    files.write_json(folder / "provenance.json", {"mlflow_run_id": mlflow_run_id, "started": now, "finished": now})
    Image.new("RGB", (16, 16), "teal").save(folder / "samples.png")
    protocols: dict[str, Any] = {
        "fid50k-train": {"fid": {"values": [3.0, 5.0]}, "is": {"values": [7.0, 8.0], "split_std": [0.1, 0.2]}}
    }
    files.write_json(
        demo.paths.score(run),
        {
            "run": run,
            "fingerprint": "s",
            "train_fingerprint": fingerprint,
            "images": images[-1],
            "data": DATA,
            "protocols": protocols,
        },
    )


def trained_generator(plan: Plan, like: Plan | None = None) -> None:
    """Write the generator of RUN as training does, untrained; `like` is a plan whose network is written instead."""
    config = (like or plan).runs[RUN].model.generator
    path = plan.paths.run(RUN) / "generator.safetensors"
    save_generator(path, build_generator(config), config, {"images": 3200})
