"""What `make test-faults` prints at its end: how many faults of each kind were tried, and how many of them held.

A test counts with the fixture `count`. A test that is marked `faults` and does not is one bad input or failing machine.
tests/conftest.py registers the hooks of this module.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

KILLS, DAMAGED, SECRETS = "kill -9", "damaged files", "secrets"
WHAT = {
    KILLS: "stages resumed to the same bytes",
    DAMAGED: "repaired, not used, or named in one line",
}
Count = Callable[[str, bool], None]

_held: Counter[str] = Counter()
_tried: Counter[str] = Counter()
_inputs: Counter[str] = Counter()  # by test file
_inputs_held = 0


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Count:
    """`count(kind, held)`: one more fault was tried; whether it held."""

    def add(kind: str, held: bool) -> None:
        request.node.user_properties.append((kind, [int(held), 1]))

    return add


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    global _inputs_held
    counted = [(kind, numbers) for kind, numbers in report.user_properties if kind in (*WHAT, SECRETS)]
    for kind, (held, tried) in counted:
        if report.when == ("teardown" if kind == SECRETS else "call"):
            _tried[kind] += tried
            _held[kind] += held
    if report.when == "call" and not counted and "faults" in report.keywords and report.outcome != "skipped":
        _inputs[Path(report.nodeid.split("::")[0]).stem.removeprefix("test_")] += 1
        _inputs_held += report.passed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _tried:
        return
    terminalreporter.section("faults")
    for kind, what in WHAT.items():
        terminalreporter.write_line(f"{kind}: {_held[kind]} of {_tried[kind]} {what}")
    files = ", ".join(f"{name} {number}" for name, number in sorted(_inputs.items()))
    terminalreporter.write_line(
        f"bad inputs and failing machines: {_inputs_held} of {_inputs.total()} as they should be ({files})"
    )
    found = _tried[SECRETS] - _held[SECRETS]
    terminalreporter.write_line(f"secrets found: {found} in {_tried[SECRETS]:,} messages and files")
