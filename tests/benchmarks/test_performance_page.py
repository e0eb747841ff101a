"""docs/performance.md is what its script makes, and a GPU's part says what was measured and what was not."""

import json
import re
import shutil
from pathlib import Path

from gpu_page import NOTHING, gpu_part
from performance_page import PAGE, page

from tests.conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def session(dry_run: bool) -> dict[str, object]:
    """A session of some steps, of which one failed."""
    patch = {
        "convolution": {"error": "RuntimeError: unable to find an engine"},
        "linear": {"ms": 1.25, "first_ms": 30.0, "peak_gib": 0.5, "relative_error": {"values": 1e-7, "d_weight": 2e-6}},
    }
    rates = {"images_per_second": 1540.0, "seconds_per_iteration": 0.166, "tflops": 98.6, "peak_gib": 7.25}
    return {
        "dry_run": dry_run,
        "device": "cuda",
        "seconds": 512.0,
        "packed": {"commit": "0123456789abcdef", "dirty": True, "images": 50000},
        "steps": {
            "environment": {
                "status": "ok",
                "seconds": 20.0,
                "summary": "NVIDIA H200",
                "python": "3.12.3",
                "cores": 16,
                "gpu": {"driver_version": "580.159"},
                "torch": {"name": "NVIDIA H200", "torch": "2.11.0+cu130"},
            },
            "probes": {
                "status": "partial",
                "seconds": 41.0,
                "parts": {"patch_probe": {"status": "ok", "results": {"64 images": patch}}},
            },
            "eager_step": {
                "status": "ok",
                "seconds": 50.0,
                "summary": "fast",
                "parts": {"bfloat16": {"status": "ok", "results": rates}},
            },
            "cuda_graphs": {
                "status": "partial",
                "seconds": 30.0,
                "parts": {
                    "8 images": {
                        "status": "ok",
                        "results": {"without": rates, "with": {**rates, "images_per_second": 4000.0}, "replays": 12},
                    },
                    "the recipe's batch": {"status": "timeout", "results": {"without": rates}},
                },
            },
            "compiled_step": {"status": "failed", "seconds": 3.0},
        },
    }


def test_the_page_in_docs_is_up_to_date() -> None:
    assert page(RESULTS) == PAGE.read_text()


def test_without_a_session_the_page_says_that_nothing_was_measured(tmp_path: Path) -> None:
    for path in (*RESULTS.glob("train_step-*.json"), *RESULTS.glob("roofline-*.json")):
        shutil.copy(path, tmp_path)
    text = page(tmp_path)
    assert NOTHING in text
    assert "python benchmarks/gpu_session.py" in text
    (tmp_path / "gpu_session.json").write_text(json.dumps(session(dry_run=False)))
    assert NOTHING not in page(tmp_path)


def test_a_session_is_shown_with_its_device_and_its_failures() -> None:
    text = gpu_part(session(dry_run=False))
    assert "Device: NVIDIA H200, driver 580.159, PyTorch 2.11.0+cu130" in text
    assert "commit 0123456789 with changes" in text
    assert "dry run" not in text
    assert "| compiled step | failed | 3 |  |" in text
    assert "| patch | 64 images | convolution | RuntimeError: unable to find an engine |" in text
    assert "| patch | 64 images | linear | 1.25 | 30 | 0.50 | 2.0e-06 (d_weight) |" in text
    assert "| bfloat16, eager | 1,540 | 166 | 98.6 |  | 7.2 |" in text
    assert "| eager, 8 images | 1,540 | 4,000 | 7.2 | 7.2 |" in text
    assert "| eager, the recipe's batch |" not in text  # its time was over before there was something to compare


def test_a_dry_run_is_marked_before_anything_else() -> None:
    text = gpu_part(session(dry_run=True))
    assert re.match(r"\*\*The following is from a dry run on NVIDIA H200\. .* Its numbers are no measurements", text)
