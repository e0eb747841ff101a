"""Another workflow includes this one with a `module` statement, in dry runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY

OUTER = f"""
configfile: "config.yaml"

module transgan:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config["transgan"]

use rule * from transgan as transgan_*

rule count:
    default_target: True
    input: "results/tiny/tables/small.csv"
    output: "lines.txt"
    shell: "wc -l {{input}} > {{output}}"
"""


# The file that `snakedeploy deploy-workflow` writes beside a copy of config/, with git in place of GitHub.
DEPLOYED = f"""
from snakemake.utils import min_version

min_version("6.10.0")

configfile: "config/config.yaml"

module transgan:
    snakefile: gitfile("{ROOT}", path="workflow/Snakefile", ref="HEAD")
    config: config

use rule * from transgan
"""


def dry_run(folder: Path, outer: str, config: str) -> tuple[int, str]:
    for name, text in (("Snakefile", outer), ("config.yaml", config), ("gan.yaml", TINY.read_text())):
        (folder / name).write_text(text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    cache = str(folder / "cache")  # of Snakefiles from git
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": cache}
    command = ["snakemake", "--dry-run", "--cores", "1", "--printshellcmds"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_config_of_the_module_names_the_params_file_and_the_scale(tmp_path: Path) -> None:
    code, out = dry_run(tmp_path, OUTER, "transgan: {params: gan.yaml, scale: tiny}\nmine: 3\n")
    assert code == 0, out
    assert "transgan train two-cifar10 --scale tiny --params gan.yaml 2>&1" in out
    assert "total                     14" in out


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a git checkout")
def test_a_deployed_workflow_needs_no_edit(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")  # snakedeploy does the same: links become files
    assert not (tmp_path / "config" / "params.yaml").is_symlink()
    code, out = dry_run(tmp_path, DEPLOYED, "")
    assert code == 0, out
    assert "transgan train transgan-cifar10 --scale demo --params config/params.yaml 2>&1" in out


@pytest.mark.parametrize(
    ("outer", "config", "message"),
    [
        (OUTER.replace("    config:", '    prefix: "x"\n    config:'), "transgan: {params: gan.yaml}", "prefix: and"),
        (OUTER, "transgan: {file: gan.yaml}", "write `params: FILE`, `scale: NAME`, or both"),
    ],
)
def test_what_does_not_work_is_said(tmp_path: Path, outer: str, config: str, message: str) -> None:
    code, out = dry_run(tmp_path, outer, config)
    assert code == 1
    assert message in out
