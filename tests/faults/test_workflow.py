"""Snakemake as users run it: awkward folders and file names, exit codes, and what a killed Snakemake leaves behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, TINY
from tests.faults.conftest import environment

pytestmark = pytest.mark.slow

AWKWARD_FOLDER = "my lab & co's {50%} $HOME"
SOURCE = "data/tiny/digits/source.json"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A project in a folder whose name a shell would take apart."""
    root = tmp_path / AWKWARD_FOLDER / "proj"
    shutil.copytree(ROOT / "workflow", root / "workflow")
    (root / "params.yaml").write_text(TINY.read_text())
    return root


def snakemake(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    return subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )


def change(root: Path, **digits: str) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["datasets"]["digits"] |= digits
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_project_in_an_awkward_folder_and_a_params_file_with_an_awkward_name(lab: Path) -> None:
    done = snakemake(lab, SOURCE)
    assert done.returncode == 0, done.stderr
    name = "my $(touch pwned) `touch pwned` 'params' {run} {{.yaml"
    (lab / name).write_text(TINY.read_text().replace("tiny", "other"))
    done = snakemake(lab, "--configfile", name, "--", "data/other/digits/source.json")
    assert done.returncode == 0, done.stderr
    assert (lab / "data/other/digits/source.json").exists()
    assert not (lab / "pwned").exists()


def test_the_exit_code_of_a_stage_ends_its_rule_at_once(lab: Path) -> None:
    """2 for a missing archive, without waiting for outputs; the stage's line is what is read last of it."""
    change(lab, source="folder", path="nowhere/x.zip")
    done = snakemake(lab, "--latency-wait", "600", SOURCE)  # the test's own limit is shorter
    assert done.returncode == 1
    assert "FAILED: fetch digits, exit code 2\n" in done.stderr
    assert "nowhere/x.zip: not there" in done.stderr
    assert "completed successfully, but" not in done.stderr


@pytest.mark.parametrize("code", [3, 143])
def test_other_exit_codes_reach_snakemake_too(lab: Path, code: int) -> None:
    """Through the rules' own shell lines, with a stage that ends with `code`."""
    tools = lab / "tools"
    tools.mkdir()
    (tools / "transgan").write_text(f"#!/bin/sh\necho says why\nexit {code}\n")
    (tools / "transgan").chmod(0o755)
    common = lab / "workflow/rules/common.smk"
    text = common.read_text()
    assert "Path(sys.executable).parent" in text
    common.write_text(text.replace("Path(sys.executable).parent", "Path('tools').resolve()"))
    done = snakemake(lab, SOURCE)
    assert done.returncode == 1
    assert f"FAILED: fetch digits, exit code {code}\n" in done.stderr
    assert (lab / "logs/tiny/fetch/digits.log").read_text() == "says why\n"


def test_a_value_that_another_reader_takes_is_one_line_that_says_how_to_write_it(lab: Path) -> None:
    text = (lab / "params.yaml").read_text()
    (lab / "params.yaml").write_text(text.replace("flip: false", 'flip: "no"'))
    done = snakemake(lab, "-n")
    assert done.returncode == 1
    assert "params.yaml: recipes.short.flip: 'no' is text; write false\n" in done.stderr + done.stdout
    assert "schema" not in done.stderr


def test_after_kill_9_the_same_command_goes_on(lab: Path) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", SOURCE]
    marks = lab / ".snakemake/locks"
    slow = lab / "workflow/rules/data.smk"
    rules = slow.read_text()
    slow.write_text(rules.replace('"transgan fetch', '"sleep 100; transgan fetch'))
    killed = subprocess.Popen(command, cwd=lab, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(marks.glob("*.output.lock")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert list(marks.glob("*.output.lock"))
    slow.write_text(rules)

    # A lock of another host may be in use: it is named, with what to type.
    running = lab / ".snakemake/transgan-running"
    running.write_text("another-host\n")
    done = snakemake(lab, SOURCE)
    assert done.returncode == 1
    assert "--unlock" in done.stderr
    running.write_text(f"{socket.gethostname()}\n")
    done = snakemake(lab, SOURCE)
    assert done.returncode == 0, done.stderr
    assert "Removed the lock of a Snakemake that was killed" in done.stderr
    assert (lab / SOURCE).exists()
