"""kill -9 of every stage at random moments: the same command finishes it, and all outputs have the same bytes."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.faults.counts import KILLS, Count
from tests.faults.forked import Project, command

pytestmark = pytest.mark.slow

# In `make test` each stage is killed once; `make test-faults` sets FAULTS=all.
MOMENTS = 5 if os.environ.get("FAULTS") == "all" else 1
STAGES = ("fetch", "prepare", "classifier", "reference", "train", "score", "table", "cells", "figure", "report")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with all results."""
    project = Project.make(tmp_path_factory.mktemp("kills") / "project")
    ended = project.run(*map(command, project.graph().values()), ("report",))
    assert ended.code == 0, ended.printed
    return project


def undo(project: Project, verb: str) -> tuple[str, ...]:
    """Remove the outputs and the state of the only stage of a kind; its command."""
    if verb == "report":
        (project.root / "results/tiny/report.html").unlink()
        return ("report",)
    (stage,) = (stage for stage in project.graph().values() if stage.verb == verb)
    for path in stage.outputs:
        (project.root / path).unlink()
    shutil.rmtree(project.root / project.plan().paths.workspace(verb, stage.subject, stage.fingerprint), True)
    (project.root / f"state/tiny/made/{verb}/{stage.name}.json").unlink(missing_ok=True)
    return command(stage)


@pytest.mark.parametrize("verb", STAGES)
def test_a_killed_stage_finishes_with_the_same_bytes(
    finished: Project, tmp_path: Path, verb: str, count: Count
) -> None:
    expected, generator = finished.digests(), random.Random(verb)
    project = finished.copy(tmp_path / "timed")
    length = project.run(undo(project, verb)).seconds
    assert project.digests() == expected
    killed = 0
    for moment in range(MOMENTS):
        project = finished.copy(tmp_path / str(moment))
        words = undo(project, verb)
        child = project.start(words)
        time.sleep(generator.uniform(0.0, length))
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL
        again = project.run(words)
        held = again.code == 0 and project.digests() == expected
        count(KILLS, held)
        assert held, again.printed
        if verb == "report":
            assert (project.root / "results/tiny/report.html").read_text().rstrip().endswith("</html>")
        shutil.rmtree(project.root)
    assert killed >= MOMENTS // 2
