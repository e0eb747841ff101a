"""The whole demo through Slurm, in a fresh clone: its minutes, and the bytes that dvc.lock records."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

from .conftest import running
from .slurm import why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(
        "CLUSTER_DEMO" not in os.environ, reason="only with CLUSTER_DEMO=1: it takes as long as the demo"
    ),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


def test_the_demo_through_slurm_has_the_bytes_of_the_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One node that claims as many CPUs as this machine has, so that as much runs at once as without Slurm."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    with running(nodes=("n1",), cpus=os.cpu_count() or 1):
        start = time.monotonic()
        done = subprocess.run(
            ["snakemake", "--profile", "workflow/profiles/slurm", "--config", "scale=demo", "--", "reproduce_tables"],
            cwd=clone,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(clone),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        minutes = (time.monotonic() - start) / 60
    assert done.returncode == 0, done.stdout[-10_000:]
    compared = _compared(clone)
    with capsys.disabled():
        print(f"\n{minutes:.1f} minutes; {sum(compared.values())} of {len(compared)} files as in dvc.lock")
    assert compared
    assert not [path for path, same in compared.items() if not same]


def _compared(clone: Path) -> dict[str, bool]:
    """Whether each file that dvc.lock records is there with its bytes."""
    lock = yaml.load((clone / "dvc.lock").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    recorded = {
        out["path"]: out["md5"]
        for stage in lock["stages"].values()
        for out in stage["outs"]
        if not out["md5"].endswith(".dir")
    }
    return {
        path: (clone / path).exists() and hashlib.md5((clone / path).read_bytes()).hexdigest() == digest
        for path, digest in recorded.items()
    }
