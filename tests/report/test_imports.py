"""Pandas and seaborn take about a second to import: only the stages of the report pay for them."""

import subprocess
import sys

import pytest

from tests.report.conftest import PARAMS

HEAVY = "{'pandas', 'seaborn', 'matplotlib'}"


@pytest.mark.parametrize(
    "work",
    [
        "from transgan import cli",
        "from transgan.config import plan; from transgan.pipeline.stages import stages; stages(plan.load())",
        "from transgan.config import plan; from transgan.pipeline.snakemake_inputs import config_files",
        "from transgan.config import plan; from transgan.commands.summary import summary; summary(plan.load())",
    ],
    ids=["command line", "stages", "Snakefile", "summary"],
)
def test_the_rest_of_the_command_line_imports_none_of_them(tmp_path, work):
    (tmp_path / "params.yaml").write_bytes(PARAMS.read_bytes())
    code = f"import sys; {work}; heavy = {HEAVY} & set(sys.modules); assert not heavy, heavy"
    environment = {"PYTHONPATH": str(PARAMS.parent), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_table_imports_no_seaborn():
    heavy = f"{HEAVY} - {{'pandas'}}"
    code = f"import sys, transgan.report.tables; heavy = {heavy} & set(sys.modules); assert not heavy, heavy"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(PARAMS.parent), "PATH": ""}, check=True)
