"""What only a cluster or a terminal shows: resources of every costly rule, and logs that signals do not cut off."""

import ast
import signal
import subprocess
import time
from pathlib import Path

import yaml

from ..conftest import ROOT

COSTLY = {"train", "train_longest", "score", "reference", "prepare"}


def rules() -> set[str]:
    lines = [line for file in (ROOT / "workflow/rules").glob("*.smk") for line in file.read_text().splitlines()]
    named = {line.split()[1].rstrip(":") for line in lines if line.startswith("rule ")}
    return named | {line.split()[4] for line in lines if line.startswith("use rule ")}


def test_every_costly_rule_has_resources_in_the_slurm_profile() -> None:
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/profile.yaml").read_text())
    asked = profile["set-resources"]
    assert set(asked) == COSTLY <= rules()
    assert asked["train"] == asked["train_longest"]


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
