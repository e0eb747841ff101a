"""What users meet: awkward input, failing machines and hostile files, through the command line in a process."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT

Transgan = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is one of faults."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: this Python's tools, this checkout's sources, no telemetry."""
    inherited = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        **(changes or {}),
    }


@pytest.fixture
def transgan(project: Path) -> Transgan:
    """Call the command line in the tiny project: `transgan("plan", "--scale", "tiny")`."""

    def call(*arguments: str, cwd: Path = project, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "transgan", *arguments],
            cwd=cwd,
            env=environment(changes),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            check=False,
        )

    return call


def assert_one_line(done: "subprocess.CompletedProcess[str]", *parts: str, code: int = 2) -> None:
    """The command failed with `code` and one line, which contains `parts`; no traceback."""
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr
