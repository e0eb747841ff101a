"""The screenshots of docs/mlflow.md: `python benchmarks/mlflow_pages.py` (needs Chromium).

Run it after `make reproduce` and `transgan sync`. It starts `mlflow ui` on a free port, opens each page in headless
Chromium, writes docs/images/mlflow-*.png, and stops the server.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from transgan.config.plan import Plan, load
from transgan.tracking.connection import connect
from transgan.tracking.pages import MODE
from transgan.tracking.seeds import STAGE as SEEDS
from transgan.tracking.store import Store
from transgan.tracking.tables import tables_experiment
from transgan.tracking.uri import tracking_uri

IMAGES = Path("docs/images")
HEADLINE, OTHER = "transgan-cifar10", "noaug-cifar10"
TABLE = "unconditional"
WIDTH, HEIGHT = 1900, 1200
TALL = {"curves": 3000}  # charts stand one below the other
# MLflow 3.17 shows an assistant on the right of every page. Screenshots are cropped to this share of the width.
CROPPED_WIDTH = 0.745
START_SECONDS, PAGE_SECONDS = 300, 300
SETTLE = 120_000  # virtual milliseconds after loading, in which a page fetches its content and finishes its animations


@contextmanager
def server() -> Iterator[str]:
    """Run MLflow's server on the project's database; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        tracking_uri(),
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/health")
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def run_id(store: Store, plan: Plan, run: str) -> str:
    """The MLflow run of a training run in its current configuration."""
    mlflow_id = store.find({"stage": "train", "run": run, "fingerprint": plan.fingerprint("train", run)})
    if mlflow_id is None:
        sys.exit(
            f"MLflow has no run of {run} in its current configuration: run `make reproduce` or `transgan sync` first"
        )
    return mlflow_id


def pages(store: Store, plan: Plan) -> dict[str, str]:
    """Name of the screenshot -> path of the page: comparisons, a registered model, a run's samples and a table."""
    runs = [run_id(store, plan, run) for run in (HEADLINE, OTHER)]
    experiment = f"/#/experiments/{store.experiment}"
    seeds = store.find({"stage": SEEDS, "seeds_of": HEADLINE})
    both = f"runs={quote(json.dumps(runs))}&experiments={quote(json.dumps([store.experiment]))}"
    paths = {
        "runs": f"{experiment}/runs?{MODE}",
        "seeds": f"{experiment}/runs/{seeds}?{MODE}",
        "scores": f"{experiment}/runs?{MODE}&compareRunsMode=CHART",
        "model": f"/#/models/{HEADLINE}?{MODE}",
        "curves": f"{experiment}/runs/{runs[0]}/model-metrics?{MODE}",
        "compare": f"/#/compare-runs?{both}&{MODE}",
        "samples": f"{experiment}/runs/{runs[0]}/artifacts/samples.png?{MODE}",
    }
    own = store.other(tables_experiment(plan.scale_name))
    tables = own.find({"stage": "tables"})
    return (
        {**paths, "tables": f"/#/experiments/{own.experiment}/runs/{tables}/artifacts/tables/{TABLE}.md?{MODE}"}
        if tables
        else paths
    )


def take_screenshot(chromium: str, url: str, target: Path, height: int) -> None:
    """Write a screenshot of one page, as a PNG with a palette to keep the repository small."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
        ]
        flags += [f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{height}", f"--screenshot={shot}"]
        flags += [f"--virtual-time-budget={SETTLE}", "--run-all-compositor-stages-before-draw"]
        subprocess.run([chromium, *flags, url], check=True, capture_output=True, timeout=PAGE_SECONDS)
        with Image.open(shot) as image:
            image.convert("RGB").crop((0, 0, int(WIDTH * CROPPED_WIDTH), height)).quantize(128).save(
                target, optimize=True
            )


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium on this machine")
    plan = load(None, "demo")
    wanted = pages(connect(plan.scale_name), plan)
    with server() as address:
        for name, path in wanted.items():
            target = IMAGES / f"mlflow-{name}.png"
            take_screenshot(chromium, address + path, target, TALL.get(name, HEIGHT))
            print(target, f"{target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
