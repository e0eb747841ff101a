"""Files that were altered after a stage wrote them: no number is made of one, and a front-end restores it.

One tiny project, finished through Snakemake. Each test alters a file, runs what a user runs, and restores it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import Project, finished_copy

pytestmark = [pytest.mark.faults, pytest.mark.slow]

RUN, TABLE, ROW = "one-cifar10", "small", "Both seeds"
RESULTS = "results/tiny"
SCORES = f"{RESULTS}/scores/{RUN}.json"
GENERATOR = f"{RESULTS}/runs/{RUN}/generator.safetensors"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished project. Each test leaves it as it was."""
    return finished_copy(tmp_path_factory, tmp_path_factory.mktemp("faults") / "project")


def transgan(project: Project, *arguments: str) -> tuple[int, str]:
    """The exit code and the last line of a call of the command line."""
    command = [str(Path(sys.executable).parent / "transgan"), *arguments]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def flip(path: Path, position: int = -100) -> None:
    """Invert one bit, in place: also of the hard link in the state folder."""
    with path.open("rb+") as file:
        file.seek(position, 2 if position < 0 else 0)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def alter_score(path: Path) -> None:
    text = path.read_text()
    start = text.index('"values": [') + len('"values": [')
    digit = next(i for i in range(start, len(text)) if text[i].isdigit())
    path.write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :])


def test_an_altered_score_reaches_no_table_and_no_report(project: Project) -> None:
    path = project.root / SCORES
    whole = path.read_bytes()
    alter_score(path)
    for command in (("table", TABLE), ("report",), ("trace", TABLE, ROW), ("sync",)):
        code, line = transgan(project, *command)
        assert code == 2, command
        assert f"{SCORES}: was changed or damaged" in line, command
        assert f"run `transgan score {RUN}`" in line
    assert transgan(project, "score", RUN)[0] == 0
    assert path.read_bytes() == whole
    assert transgan(project, "table", TABLE)[0] == 0


def test_a_generator_cut_in_half_is_restored_by_the_main_job(project: Project) -> None:
    before = project.bytes()
    with (project.root / GENERATOR).open("rb+") as file:
        file.truncate((project.root / GENERATOR).stat().st_size // 2)
    assert "Nothing to be done" not in project.snakemake("--dry-run")
    project.snakemake()
    assert project.bytes() == before


def test_a_flipped_bit_of_a_generator_stops_what_reads_it(project: Project) -> None:
    path = project.root / GENERATOR
    whole = path.read_bytes()
    flip(path)
    for command in (("score", RUN), ("sample", RUN, "out.png")):
        code, line = transgan(project, *command)
        assert code == 2
        assert f"run `transgan train {RUN}`" in line
    assert transgan(project, "train", RUN)[0] == 0
    assert path.read_bytes() == whole


def test_a_flipped_bit_of_a_pack_stops_training(project: Project) -> None:
    path = project.root / "data/tiny/cifar10/images.npy"
    whole = path.read_bytes()
    flip(path)
    for marker in project.root.glob(f"state/tiny/train/{RUN}/*/finished.json"):
        marker.unlink()
    code, line = transgan(project, "train", RUN)
    assert code == 2
    assert "was changed or damaged after it was packed" in line
    assert "transgan prepare cifar10" in line
    for dataset in ("cifar10", "digits"):  # which share the pack
        assert transgan(project, "prepare", dataset)[0] == 0
    assert path.read_bytes() == whole
    assert transgan(project, "train", RUN)[0] == 0


def test_an_altered_table_reaches_neither_the_cells_nor_the_summary(project: Project) -> None:
    path = project.root / f"{RESULTS}/tables/{TABLE}.csv"
    path.write_text(path.read_text().replace("Both", "Most"))
    for command in (("cells",), ("summary",)):
        code, line = transgan(project, *command)
        assert code == 2
        assert f"run `transgan table {TABLE}` again" in line
    assert transgan(project, "table", TABLE)[0] == 0
    assert transgan(project, "cells")[0] == 0


@pytest.mark.parametrize("content", ["[]", "null", '"text"', "3", "{}", '{"hardware": []}'])
@pytest.mark.parametrize("name", [f"runs/{RUN}/provenance.json", f"runs/{RUN}/run.json", f"scores/{RUN}.json"])
def test_a_result_of_another_type_is_one_line(project: Project, name: str, content: str) -> None:
    path = project.root / RESULTS / name
    whole = path.read_bytes()
    path.unlink()  # the state folder keeps its own
    path.write_text(content)
    try:
        for command in (("report",), ("trace", TABLE, ROW), ("summary",), ("sync",), ("score", RUN), ("plan",)):
            transgan(project, *command)  # no traceback
    finally:
        path.write_bytes(whole)
