"""The notebooks of examples/, run cell by cell in a finished project; they are stored without outputs."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workflow.conftest import Project, finished_copy

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
# The finished project has other runs and tables than the demo.
NAMES = {"transgan-cifar10": "one-cifar10", 'TABLE = "unconditional"': 'TABLE = "small"'}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return finished_copy(tmp_path_factory, tmp_path_factory.mktemp("examples") / "project")


def cells(notebook: Path) -> list[str]:
    """The code of a notebook."""
    return [
        "".join(cell["source"]) for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"
    ]


def test_there_are_two_without_outputs() -> None:
    assert len(NOTEBOOKS) == 2
    for notebook in NOTEBOOKS:
        content = json.loads(notebook.read_text())
        code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
        assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notebook", "shown", "written"),
    [
        ("sample-and-score", "untrained: ", []),
        ("own-figure", "cells, of tables small", ["own-figure.png", "own-curves.png"]),
    ],
)
def test_a_notebook_runs_in_a_finished_project(
    finished: Project, notebook: str, shown: str, written: list[str]
) -> None:
    code = "\n".join(cells(ROOT / "examples" / f"{notebook}.ipynb"))
    for name, there in NAMES.items():
        code = code.replace(name, there)
    (finished.root / "cells.py").write_text(f"import matplotlib\nmatplotlib.use('Agg')\n{code}\n")
    assert shown in finished.run(sys.executable, "cells.py")
    assert all((finished.root / name).stat().st_size > 1000 for name in written)
