"""The pictures of docs/mlflow.md: `python benchmarks/mlflow_pages.py` after `make reproduce` photographs MLflow's own pages in headless Chromium.

Starts `mlflow ui` on a free port, opens each page at desk width, writes docs/images/mlflow-*.png, and stops the server again.
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
from transgan.tracking.connection import connect, tracking_uri
from transgan.tracking.store import Store

IMAGES = Path("docs/images")
HEADLINE, OTHER = "transgan-cifar10", "noaug-cifar10"
TABLE = "unconditional"
WIDTH, HEIGHT = 1900, 1200
TALL = {"curves": 3000}  # charts stand one below the other
# MLflow 3.17 opens an assistant on the right of every page, which says nothing about ours: that share of the width is cut off.
KEPT = 0.745
START_SECONDS, PAGE_SECONDS = 300, 300
# Pages fetch what they show and draw it with animations: so many virtual milliseconds after loading are let pass.
SETTLE = 120_000


@contextmanager
def server() -> Iterator[str]:
    """MLflow's pages of the project's database; yields their address."""
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
    """The MLflow run of a training run as it is planned now."""
    found = store.find({"stage": "train", "run": run, "fingerprint": plan.fingerprint("train", run)})
    if found is None:
        sys.exit(f"MLflow has no run of {run} as it is now: `make reproduce`, or `transgan sync`, first")
    return found


def pages(store: Store, plan: Plan) -> dict[str, str]:
    """Name of the picture -> path of the page: the three comparisons of docs/mlflow.md, and what a run and the tables keep."""
    runs = [run_id(store, plan, run) for run in (HEADLINE, OTHER)]
    experiment = f"/#/experiments/{store.experiment}"
    both = f"runs={quote(json.dumps(runs))}&experiments={quote(json.dumps([store.experiment]))}"
    found = {
        "runs": f"{experiment}/runs?searchFilter={quote(f'tags.`table.{TABLE}` = {chr(39)}TransGAN{chr(39)}')}",
        "curves": f"{experiment}/runs/{runs[0]}/model-metrics",
        "compare": f"/#/compare-runs?{both}",
        "samples": f"{experiment}/runs/{runs[0]}/artifacts/samples.png",
    }
    tables = store.find({"stage": "tables"})
    return {**found, "tables": f"{experiment}/runs/{tables}/artifacts/tables/{TABLE}.md"} if tables else found


def photograph(chromium: str, url: str, target: Path, height: int) -> None:
    """One page as a PNG with a palette: pictures in the repository should be small."""
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
            image.convert("RGB").crop((0, 0, int(WIDTH * KEPT), height)).quantize(128).save(target, optimize=True)


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium on this machine")
    plan = load(None, "demo")
    wanted = pages(connect(plan.scale_name), plan)
    with server() as address:
        for name, path in wanted.items():
            target = IMAGES / f"mlflow-{name}.png"
            photograph(chromium, address + path, target, TALL.get(name, HEIGHT))
            print(target, f"{target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
