"""The built wheel alone, as a user has it who installs it into an environment: in an empty folder, without extras.

Its dependencies are those of this environment. The libraries of extras cannot be found where a test says so.
"""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from tests.conftest import ROOT, TINY
from tests.models.test_official_checkpoints import checkpoint
from transgan.config import project_files
from transgan.metrics.digit_classifier import DigitNet
from transgan.utils.extras import EXTRAS

pytestmark = pytest.mark.slow

UV = Path(sys.executable).with_name("uv")
MISSING = {library for libraries in EXTRAS.values() for library in libraries} - {"jinja2"}  # which torch needs
BLOCK = f"""
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {MISSING} else find(name, path, target)
PathFinder.find_spec = find_spec
"""


@dataclass
class Installed:
    """The wheel in a folder of its own, and one that makes the libraries of extras missing."""

    folder: Path
    block: Path

    def run(self, *command: str, code: int = 0, extras: bool = False) -> str:
        """What a command in the current folder prints or, if `code` is not 0, its only line about an error."""
        paths = [self.folder] if extras else [self.folder, self.block]
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": ":".join(map(str, paths)),
            "DVC_NO_ANALYTICS": "1",
        }
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert code == 0 or done.stderr.count("\n") == 1, done.stderr
        return done.stdout if code == 0 else done.stderr

    def transgan(self, *arguments: str, code: int = 0) -> str:
        """The command line, without extras."""
        return self.run(sys.executable, "-m", "transgan", *arguments, code=code)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once."""
    if not UV.exists():
        pytest.skip("uv is not installed")
    out = tmp_path_factory.mktemp("wheel")
    command = [UV, "build", "--wheel", "--quiet", "--offline", "--out-dir", out, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "offline" in done.stderr or "network" in done.stderr:
        pytest.skip("uv's cache has no hatchling, and this test does not download")
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel installed."""
    root = tmp_path_factory.mktemp("installed")
    command = [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", sys.executable]
    subprocess.run([*command, "--target", root / "lib", wheel], check=True, timeout=300)
    (root / "block").mkdir()
    (root / "block" / "sitecustomize.py").write_text(BLOCK)
    return Installed(root / "lib", root / "block")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_holds_the_files_of_a_project_as_the_checkout_has_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        prefix = "transgan/project/"
        inside = {name.removeprefix(prefix) for name in archive.namelist() if name.startswith(prefix)}
        assert inside == set(map(str, project_files.names()))
        assert all(archive.read(prefix + name) == (ROOT / name).read_bytes() for name in inside)
        assert not [name for name in archive.namelist() if name.startswith("tests/") or "__pycache__" in name]


def test_sample_and_evaluate_and_import_official_need_no_project_and_no_extra(
    installed: Installed, empty: Path
) -> None:
    checkpoint(empty)
    installed.transgan("import-official", "released.pth", "--out", "g.safetensors")
    installed.transgan("sample", "g.safetensors", "folder", "--count", "40")
    installed.transgan("sample", "g.safetensors", "images.npz", "--count", "40", "--seed", "1")
    with np.load("images.npz") as images:
        assert len(images[images.files[0]]) == 40
    torch.manual_seed(0)
    about = {"resolution": 12, "width": 4, "features": 8, "classes": 10}
    text = json.dumps({**about, "needed": True})
    (empty / "digits.safetensors").write_bytes(save(DigitNet(*about.values()).state_dict(), {"transgan": text}))
    options = ("--scale", "demo", "--weights", "digits.safetensors", "--metrics", "fid", "--samples", "40", "--json")
    by_reference = {
        reference: json.loads(installed.transgan("evaluate", "folder", "--reference", reference, *options))
        for reference in ("images.npz", "folder")
    }
    fid = {reference: result["summary"]["fid"]["mean"] for reference, result in by_reference.items()}
    assert fid["images.npz"] > 10 * abs(fid["folder"])  # the folder against itself


def test_doctor_plan_and_version_need_no_project_and_no_extra(installed: Installed, empty: Path) -> None:
    assert installed.transgan("--version").startswith("transgan 0.")
    doctor = installed.transgan("doctor")
    assert "the params.yaml of this package is read; `transgan init DIR` lays one out" in doctor
    runs = json.loads(installed.transgan("plan", "--json"))
    assert "transgan-cifar10" in json.dumps(runs)
    assert list(empty.iterdir()) == []


def test_what_needs_a_project_or_an_extra_says_so(installed: Installed, empty: Path) -> None:
    assert "`transgan init DIR` lays one out" in installed.transgan("train", "transgan-cifar10", code=2)
    asks = installed.transgan("table", "unconditional", "--params", str(ROOT / "params.yaml"), code=2)
    assert asks == "transgan: pandas is not installed; run `pip install 'transgan[report]'`\n"
    assert "`pip install 'transgan[tracking]'`" in installed.transgan("sync", "--params", str(TINY), code=2)


def test_snakemake_and_dvc_run_what_init_lays_out(
    installed: Installed, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "  pip install 'transgan[pipeline]'" in installed.transgan("init", "new")
    monkeypatch.chdir(empty / "new")
    source = Path("data/demo/digits/source.json")
    installed.run("snakemake", "--cores", "1", str(source), extras=True)
    by_snakemake = source.read_bytes()
    source.unlink()
    installed.run("dvc", "repro", "fetch@digits", extras=True)
    assert source.read_bytes() == by_snakemake
