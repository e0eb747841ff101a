"""Without a shared file system, as on Kubernetes: each job in an empty folder, results in a storage, state in a volume.

The storage is a folder (snakemake-storage-plugin-fs); the executor is `pods/`.
"""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from ..conftest import ROOT
from .conftest import Project, make_project

pytestmark = pytest.mark.slow
PACK = "data/tiny/digits"
TARGET = f"{PACK}/manifest.json"


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("snakemake_storage_plugin_fs")
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed (apt-get install rsync)")
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "pods"))


def call(project: Project, *options: str) -> str:
    """Snakemake with the settings of the profile for Kubernetes, but for executor and storage."""
    profile = yaml.safe_load((ROOT / "workflow/profiles/kubernetes/profile.yaml").read_text())
    bucket, volume = project.root.parent / "bucket", project.root.parent / "volume"
    volume.mkdir(exist_ok=True)
    used = {key: profile[key] for key in ("shared-fs-usage", "rerun-triggers", "rerun-incomplete")}
    link = f".snakemake/storage/fs{bucket}"
    used |= {
        "executor": "pods",
        "pods-volume": str(volume),
        "jobs": 2,
        "default-storage-provider": "fs",
        "default-storage-prefix": str(bucket),
        "precommand": f'mkdir -p {Path(link).parent} && ln -sfn "$(pwd)" {link}',
    }
    own = project.root.parent / "profile"
    own.mkdir(exist_ok=True)
    (own / "profile.yaml").write_text(yaml.safe_dump(used))
    path = ":".join((str(Path(__file__).parent / "pods"), str(ROOT), os.environ.get("PYTHONPATH", "")))
    return project.run(
        "env", f"PYTHONPATH={path}", "snakemake", "--profile", str(own), "--workflow-profile", "none", *options, TARGET
    )


def test_results_are_those_of_one_machine_and_an_edit_is_noticed(pods: None, tmp_path: Path) -> None:
    project, local = make_project(tmp_path / "project"), make_project(tmp_path / "local")
    call(project)
    bucket = tmp_path / "bucket"
    local.run("snakemake", "--cores", "1", TARGET)
    names = sorted(path.name for path in (local.root / PACK).iterdir())
    assert sorted(path.name for path in (bucket / PACK).iterdir()) == names
    for name in names:
        assert (bucket / PACK / name).read_bytes() == (local.root / PACK / name).read_bytes()
    assert not (project.root / "data").exists()
    assert "Nothing to be done" in call(project, "--dry-run")
    project.edit("{name: test, count: 360}", "{name: test, count: 300}")
    planned = call(project, "--dry-run")
    assert "prepare" in planned
    assert "Params have changed" in planned
