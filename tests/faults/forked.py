"""The stages of a tiny project, each in a process that is forked with everything imported, so that many can be killed.

One dataset, one run, a table and a figure. Without MLflow, which tests/tracking treats, and with one thread.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import yaml

from tests.conftest import TINY
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.pipeline.stages import Stage, stages
from transgan.utils import files

RUN = "one-cifar10"
# Children are forked from a process that has imported torch but computed nothing: autograd does not work in a fork of a
# process that has used its threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "transgan.cli",
        "transgan.data.prepare",
        "transgan.data.readers.digits",
        "transgan.report.cells_frame",
        "transgan.report.figures",
        "transgan.report.page",
        "transgan.report.plots.curve",
        "transgan.report.tables",
        "transgan.scoring.classifier",
        "transgan.scoring.reference",
        "transgan.scoring.score",
        "transgan.tracking",
        "transgan.training.loop",
        "transgan.training.train",
    ]
)


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, or minus the signal that ended it; what it printed; seconds."""

    code: int
    printed: str
    seconds: float


class Project:
    """A folder with the tiny project, whose stages run in forked processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def make(cls, root: Path) -> "Project":
        """A project without results."""
        content = yaml.safe_load(TINY.read_text())
        for scaled in (content, content["scales"]["tiny"]):
            scaled["runs"] = {RUN: scaled["runs"][RUN]}
            del scaled["datasets"]["digits"]
        content["classifiers"]["digits"] |= {"dataset": "cifar10", "epochs": 2, "accuracy": 0.5}
        content["recipes"]["short"] |= {"images": 128, "log_images": 32}
        content["recipes"]["short"]["dynamics"]["first"] = 32
        content["execution"]["checkpoint_minutes"] = 1e-9  # after every step
        content["tables"]["small"]["rows"] = [{"name": "One", "runs": {"cifar10": [RUN]}}]
        content["figures"] = {"samples": {"kind": "samples", "runs": [RUN], "title": "Samples", "source": "none"}}
        root.mkdir(parents=True)
        (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return cls(root)

    def copy(self, root: Path) -> "Project":
        """A copy of everything, in which the same files are hard links of each other."""
        subprocess.run(["cp", "-a", str(self.root), str(root)], check=True)
        return Project(root)

    def plan(self) -> Plan:
        """The project's plan. Its paths are relative to the root."""
        return plans.load(self.root / "params.yaml")

    def graph(self) -> dict[str, Stage]:
        """The project's stages, in an order in which they can run."""
        return stages(self.plan())

    def start(self, *commands: tuple[str, ...]) -> ForkServerProcess:
        """Start a process that runs commands of the command line, one after the other."""
        child = CONTEXT.Process(target=_run, args=(self.root, commands))
        child.start()
        return child

    def run(self, *commands: tuple[str, ...]) -> Ended:
        """Run commands, one after the other; the first that fails ends them."""
        begun = time.monotonic()
        child = self.start(*commands)
        child.join()
        code = child.exitcode
        assert code is not None
        return Ended(code, (self.root / "printed").read_text(errors="replace"), time.monotonic() - begun)

    def digests(self) -> dict[str, str]:
        """SHA-256 of every declared output but provenance.json, which holds times; of missing ones, "missing"."""
        paths = [path for stage in self.graph().values() for path in stage.reproducible]
        return {
            str(path): files.sha256(self.root / path) if (self.root / path).is_file() else "missing" for path in paths
        }


def command(stage: Stage) -> tuple[str, ...]:
    """The words of a stage's command."""
    return (stage.verb, *stage.arguments)


def _run(root: Path, commands: tuple[tuple[str, ...], ...]) -> None:
    import torch

    from transgan import cli, tracking
    from transgan.tracking.tracker import Tracker
    from transgan.training import loop
    from transgan.utils.exit_codes import one_line_exit

    os.chdir(root)
    output = os.open("printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(output, 1)
    os.dup2(output, 2)
    torch.set_num_threads(1)
    loop.TrainingLoop._open_tracker = lambda _: Tracker()  # type: ignore[method-assign]
    for name in ("record_scores", "record_short_runs", "record_tables"):
        setattr(tracking, name, lambda *_: None)
    with one_line_exit():
        cli.configure_logging()
        for words in commands:
            code = cli.app(list(words), standalone_mode=False)
            if code:
                sys.exit(code)
