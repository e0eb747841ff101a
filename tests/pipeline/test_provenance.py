"""Results carry the commit of the clone that contains the running package."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import transgan
from tests.conftest import ROOT
from transgan.config import project_files
from transgan.hardware.info import cpu_identity
from transgan.hardware.instruction_set import SETTINGS
from transgan.pipeline.provenance import hardware, unknown_commit, versions

COLLECT = "from transgan.pipeline.provenance import source; found = source(); print(found['commit'], found['dirty'])"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def seen_from(folder: Path, clone: Path) -> list[str]:
    """Commit and dirty flag, as reported by a process that runs in `folder` and imports the package of `clone`."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(clone)!r}); {COLLECT}"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository that contains a copy of this tree's package, committed."""
    folder = tmp_path / "clone"
    folder.mkdir()
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "transgan"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in files.stdout.split():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    return folder


def test_a_wheel_is_named_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions()["transgan"] == transgan.__version__
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transgan, "__file__", str(tmp_path / "transgan/__init__.py"))
    assert "not a git repository" in (unknown_commit() or "")
    monkeypatch.setattr(project_files, "IN_WHEEL", tmp_path)
    assert unknown_commit() is None


def test_work_carries_the_commit_of_its_clone(clone: Path, tmp_path: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD")
    assert seen_from(clone, clone) == [commit, "False"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert seen_from(elsewhere, clone) == [commit, "False"]
    changed = clone / "transgan" / "__init__.py"
    changed.write_text(changed.read_text() + "\n# changed\n")
    assert seen_from(elsewhere, clone) == [commit, "True"]


def test_another_repository_around_the_package_is_not_its_clone(clone: Path, tmp_path: Path) -> None:
    """The package may be installed in an environment inside a user's repository."""
    git(clone, "rm", "-rq", "--cached", "transgan")
    (clone / "README").write_text("something else\n")
    git(clone, "add", "README")
    git(clone, "commit", "-qm", "without the package")
    assert seen_from(tmp_path, clone) == ["None", "None"]


def test_hardware_names_the_instructions_that_were_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    hardware.cache_clear()
    found = hardware()
    hardware.cache_clear()
    assert found["settings"] == {"MKL_CBWR": "COMPATIBLE"}
    assert found["instruction_set"] == torch.backends.cpu.get_cpu_capability()
    assert found["processor"] == cpu_identity()
