"""What only a cluster or a terminal shows: resources of every costly rule, and logs that signals do not cut off."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ..conftest import ROOT

PROFILE = ROOT / "workflow/profiles/slurm/profile.yaml"
HERE = {
    "fetch",
    "table",
    "cells",
    "report_page",
    "reproduce_tables",
    "findings",
    "paired",
    "seams",
    "variance",
    "factorial",
}  # beside Snakemake, also on a cluster


def rules() -> dict[str, str]:
    """Every rule but those that only change another one, with its text."""
    text = "\n".join(file.read_text() for file in (ROOT / "workflow").rglob("*.smk"))
    parts = re.split(r"^rule (\w+):", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_rule_is_local_or_says_what_it_needs() -> None:
    for name, text in rules().items():
        if name in HERE:
            assert "    retries: 0\n" in text, f"{name}: a rule that runs beside Snakemake is tried once"
        else:
            assert "    resources:\n" in text, f"{name}: a cluster would not know what it needs"


def test_every_rule_says_what_it_does() -> None:
    """`snakemake --list` shows the docstrings."""
    assert [name for name, text in rules().items() if '    """' not in text] == []


def test_the_commented_lines_of_the_profile_are_right(tmp_path: Path) -> None:
    """A user uncomments them: the result is a profile, and every rule it names exists."""
    text = PROFILE.read_text()
    head, lines = text.split("\ndefault-resources:")
    lines = lines.replace("  # - ", "  - ").replace("# set-resources:", "set-resources:").replace("\n#   ", "\n  ")
    mine = f"{head}\ndefault-resources:{lines}"
    plain, edited = yaml.safe_load(text), yaml.safe_load(mine)
    assert set(edited) == {*plain, "set-resources"}
    assert set(edited["set-resources"]) <= set(rules())
    assert len(edited["default-resources"]) == len(plain["default-resources"]) + 3
    assert "devices_per_node=8" in edited["resources"]
    default = yaml.safe_load((ROOT / "workflow/profiles/default/profile.yaml").read_text())
    assert {key: value for key, value in default.items() if key != "cores"}.items() <= plain.items()


@pytest.mark.parametrize(("scale", "gpu"), [("demo", 0), ("paper", 1)])
def test_jobs_ask_for_what_their_runs_need(scale: str, gpu: int, tmp_path: Path) -> None:
    """A dry run with the profile, as far as it goes without Slurm: what each job of training would ask for."""
    for name in ("params.yaml", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = ["snakemake", "--profile", "workflow/profiles/slurm", "--executor", "dryrun", "--until", "train"]
    done = subprocess.run(
        [*command, "--config", f"scale={scale}", "--dry-run", "--", "reproduce_tables"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    asked = [
        {key: int(value) for key, value in re.findall(r"\b(gpu|runtime|mem_mb|cpus_per_task)=(\d+)", line)}
        for block in re.findall(r"^rule train.*?(?=^rule |\Z)", done.stdout, re.MULTILINE | re.DOTALL)
        for line in re.findall(r"resources: .*", block)
    ]
    assert asked
    assert {each["gpu"] for each in asked} == {gpu}
    assert all(each["runtime"] <= 1440 and each["mem_mb"] < 32000 for each in asked)
    assert len({each["mem_mb"] for each in asked}) > 1  # of the run, not of the rule


def as_in_a_terminal() -> None:
    """A background process ignores SIGINT, and a shell cannot trap a signal that was ignored at its start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_log_holds_what_a_stage_says_after_the_signal_that_ends_it(tmp_path: Path) -> None:
    """Ctrl-C goes to the whole pipeline: a plain `tee` would be gone before training has said how to go on."""
    text = (ROOT / "workflow/rules/common.smk").read_text()
    keep = (
        next(ast.literal_eval(line.strip()) for line in text.splitlines() if line.strip().startswith('"keep()'))
        .replace("{{", "{")
        .replace("}}", "}")
    )
    stage = "trap 'sleep 0.2; echo saved; exit 143' TERM INT; echo begun; while true; do sleep 0.05; done"
    pipeline = f"set -o pipefail; {keep} ({stage}) 2>&1 | keep log"
    for signum in (signal.SIGINT, signal.SIGTERM):
        running = subprocess.Popen(
            ["bash", "-c", pipeline],
            cwd=tmp_path,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            preexec_fn=as_in_a_terminal,
        )
        log = tmp_path / "log"
        while not (log.exists() and log.read_text()):
            time.sleep(0.02)
        subprocess.run(["kill", f"-{signum.value}", "--", f"-{running.pid}"], check=True)
        running.wait(timeout=20)
        deadline = time.monotonic() + 20
        while "saved" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        words = log.read_text().split()  # a shell may name the signal in between
        assert (words[0], words[-1]) == ("begun", "saved")
        log.unlink()
