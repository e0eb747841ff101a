"""`make verify`: runs the demo through Snakemake and through DVC, and compares all outputs byte for byte.

Each runs in a fresh clone of HEAD. It takes as long as two demos, and uses this environment's tools on the code of
the clones. It prints the outputs that differ or are missing, and how many are the same; the exit code is 1 if any
differs.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transgan.config.plan import load
from transgan.errors import UserError
from transgan.pipeline.stages import stages
from transgan.utils import files
from transgan.utils.exit_codes import one_line_exit

COMMANDS = {
    "snakemake": ["snakemake", "--cores", "all", "--quiet", "all", "--", "reproduce_tables"],
    "dvc": ["dvc", "repro", "--quiet"],
}


def run_demo(name: str, folder: Path) -> float:
    """Clone HEAD into `folder` and run the demo there through one front-end; returns the seconds it took."""
    _run(["git", "clone", "--quiet", str(Path.cwd()), str(folder)], Path.cwd(), dict(os.environ))
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    started = time.monotonic()
    _run(COMMANDS[name], folder, environment)
    return time.monotonic() - started


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a command, whose own messages are printed. Raises UserError if it fails."""
    code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    if code:
        again = f"cd {shlex.quote(str(folder))} && {shlex.join(command)}"
        raise UserError(f"{shlex.join(command)}: exit code {code}; run `{again}` (with --keep) to see it by itself")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="work in this folder and do not delete it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or Path(temporary)
        for name in COMMANDS:
            print(f"{name}: {run_demo(name, root / name):.0f} s", flush=True)
        outputs = [path for stage in stages(load()).values() for path in stage.reproducible]
        missing = [path for path in outputs for name in COMMANDS if not (root / name / path).exists()]
        present = [path for path in outputs if path not in missing]
        different = [path for path in present if len({files.sha256(root / name / path) for name in COMMANDS}) > 1]
    for path in missing:
        print(f"missing:   {path}")
    for path in different:
        print(f"different: {path}")
    print(f"{len(present) - len(different)} of {len(outputs)} declared outputs are the same, byte for byte")
    sys.exit(bool(missing or different))


if __name__ == "__main__":
    with one_line_exit():
        main()
