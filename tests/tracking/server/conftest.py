"""One PostgreSQL and one MLflow server for all tests of this folder, and what the tests measured."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .servers import Servers, why_not

MEASURED: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    for measured in MEASURED:
        terminalreporter.write_line(measured)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers, started."""
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))  # short, because a socket's path may have 108 characters
    started = Servers(folder)
    try:
        try:
            started.start_postgres()
        except RuntimeError as error:
            pytest.skip(f"PostgreSQL does not start here: {error}")
        started.start()
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder)
