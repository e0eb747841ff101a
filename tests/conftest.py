"""Shared by all tests: no telemetry, the same random numbers every time, and a project that trains in seconds."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.counts import count, pytest_runtest_logreport, pytest_terminal_summary
from transgan.utils.console import configure_logging

__all__ = ["count", "pytest_runtest_logreport", "pytest_terminal_summary"]

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

configure_logging()  # messages on standard error, as the command line shows them

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "workflow" / "params.yaml"


def with_flipped_bit(whole: bytes, count: int) -> Iterator[bytes]:
    """`whole` with one bit flipped, at `count` random places."""
    for position in np.random.default_rng(1).integers(0, len(whole), count):
        content = bytearray(whole)
        content[position] ^= 1 << int(position) % 8
        yield bytes(content)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU where there is none."""
    need = [item for item in items if item.get_closest_marker("gpu")]
    if need:
        import torch

        for item in need if not torch.cuda.is_available() else []:
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(autouse=True)
def usual_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of any width: xdist sets COLUMNS for its workers."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seed torch, so that a test does not depend on earlier tests."""
    torch = sys.modules.get("torch")  # only if something has imported it
    if torch is not None:
        torch.manual_seed(0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: an empty project folder with the tiny params file as its params.yaml."""
    (tmp_path / "params.yaml").write_text(TINY.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path
