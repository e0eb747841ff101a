"""Every state, result and data file truncated, flipped, empty or replaced: repaired, not used, or named in one line.

After each damage all stages run, as a front-end runs them. Either they end with the right bytes, or the first that
meets the damage ends with exit code 2 and one line that says what to do. No number is made of a damaged file.
"""

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import with_flipped_bit
from tests.faults.counts import DAMAGED, Count
from tests.faults.forked import RUN, Project, command

pytestmark = pytest.mark.slow

ALL = os.environ.get("FAULTS") == "all"  # set by `make test-faults`
IN_CI = 24  # damaged files that `make test` tries, of all kinds
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda whole: whole[: len(whole) // 2],
    "flipped": lambda whole: next(with_flipped_bit(whole, 1)) if whole else b"x",
    "empty": lambda whole: b"",
    "replaced": lambda whole: b"[1, null]\n" if whole[:1] in (b"{", b"[") else b"something else altogether\n",
}
PASSING = (".lock", "params-files.txt", "printed", "params.yaml")  # locks are empty; params.yaml is the user's own


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with all results."""
    project = Project.make(tmp_path_factory.mktemp("damage") / "project")
    ended = project.run(*map(command, project.graph().values()))
    assert ended.code == 0, ended.printed
    return project


@pytest.fixture(scope="module")
def stopped(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project in the middle of training: two checkpoints, no result of the run."""
    project = finished.copy(tmp_path_factory.mktemp("stopped") / "project")
    for path in (project.root / "results/tiny/runs" / RUN).iterdir():
        path.unlink()
    (folder,) = project.root.glob(f"state/tiny/train/{RUN}/*/")
    for path in folder.iterdir():
        if not path.name.startswith(("checkpoint-", "ingredients")):
            path.unlink()
    return project


def damage(path: Path, kind: str) -> None:
    """Damage a file in place: where it is a hard link, the other one too."""
    whole = path.read_bytes()
    with path.open("rb+") as file:
        file.truncate()
        file.write(DAMAGES[kind](whole))
        file.truncate()


def files_of(project: Project) -> Iterator[Path]:
    """Every file of a project that a stage may read, relative to its root."""
    for path in sorted(project.root.rglob("*")):
        if path.is_file() and not path.name.endswith(PASSING):
            yield path.relative_to(project.root)


def check(
    pristine: Project, expected: dict[str, str], cases: list[tuple[Path, str]], folder: Path, count: Count
) -> None:
    """Damage one file of a fresh copy after the other, and run all stages."""
    failures = []
    stages = [command(stage) for stage in pristine.graph().values()]
    for number, (path, kind) in enumerate(cases):
        project = pristine.copy(folder / str(number))
        damage(project.root / path, kind)
        ended = project.run(*stages)
        said = re.findall(r"^transgan: .+$", ended.printed, re.MULTILINE)
        named = ended.code == 2 and len(said) == 1 and re.search(r"`[^`]+`|delete|remove|move|restore", said[0])
        right = ended.code == 0 and project.digests() == expected
        held = bool(named or right) and "Traceback" not in ended.printed
        shutil.rmtree(project.root)
        count(DAMAGED, held)
        if not held:
            failures.append(f"{path} {kind}: exit code {ended.code}\n{ended.printed[-1500:]}")
    assert not failures, "\n".join(failures)


def cases_of(project: Project, most: int) -> list[tuple[Path, str]]:
    """Every file with every damage, or in `make test` a sample of `most` of them."""
    cases = [(path, kind) for path in files_of(project) for kind in DAMAGES]
    return cases if ALL else sorted(random.Random(0).sample(cases, min(most, len(cases))))


@pytest.mark.timeout(3600)
def test_damaged_files_of_a_finished_project(finished: Project, tmp_path: Path, count: Count) -> None:
    check(finished, finished.digests(), cases_of(finished, IN_CI), tmp_path, count)


@pytest.mark.timeout(3600)
def test_damaged_files_of_an_interrupted_training(
    finished: Project, stopped: Project, tmp_path: Path, count: Count
) -> None:
    cases = [(path, kind) for path, kind in cases_of(stopped, 10**6) if f"train/{RUN}" in str(path)]
    check(stopped, finished.digests(), cases if ALL else cases[::2], tmp_path, count)
