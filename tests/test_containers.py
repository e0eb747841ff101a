"""Dockerfile, transgan.def and install.sh: they copy what exists, name versions, run as no root, and obey the lock.

Building needs an engine, a base image and the network, so no test does it.
"""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCKERFILE, DEFINITION, SCRIPT = ROOT / "Dockerfile", ROOT / "containers/transgan.def", ROOT / "containers/install.sh"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()]


def section(name: str) -> str:
    """The text of a section of the Apptainer definition."""
    found = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", DEFINITION.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def copied() -> Iterator[str]:
    """What the Dockerfile copies from the build context."""
    for instruction, arguments in instructions():
        if instruction == "COPY" and "--from=" not in arguments:
            yield from [word for word in arguments.split() if not word.startswith("--")][:-1]


def in_context(name: str) -> bool:
    """Whether .dockerignore lets a path into the build context; the last pattern that matches it decides."""
    included = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        parents = [name, *map(str, Path(name).parents)]
        if any(fnmatch.fnmatch(parent, pattern) or fnmatch.fnmatch("/" + parent, pattern[2:]) for parent in parents):
            included = line.startswith("!")
    return included


def test_what_is_copied_exists_and_is_in_the_build_context() -> None:
    names = list(copied())
    assert {"pyproject.toml", "uv.lock", "transgan", "snakemake_logger_plugin_transgan"} <= set(names)
    for name in names:
        assert (ROOT / name).exists(), name
        assert in_context(name), name
    sources = [line.split()[0] for line in section("files").splitlines() if line.strip()]
    assert set(sources) == set(names)


@pytest.mark.parametrize(
    "name",
    [
        "data",
        "results",
        "state",
        ".venv",
        ".git",
        "mlruns",
        "mlflow.db",
        "logs",
        ".dvc",
        "tests",
        ".snakemake",
        "x.sif",
    ],
)
def test_no_data_results_or_environments_reach_the_image(name: str) -> None:
    assert not in_context(name)
    assert not in_context(f"{name}/file")


def test_the_package_is_copied_whole() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = [project["project"]["readme"], *project["project"]["license-files"], "hatch_build.py"]
    assert set(wheel["packages"]) | set(wheel["hooks"]["custom"]["files"]) | set(files) <= set(copied())


def test_versions_come_from_tags_and_from_the_lock() -> None:
    arguments = dict(text.split("=", 1) for instruction, text in instructions() if instruction == "ARG" and "=" in text)
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", arguments["BASE"])
    assert f"From: {arguments['BASE']}\n" in DEFINITION.read_text()
    for instruction, text in instructions():
        if instruction == "FROM":
            assert text.split()[0] == "${BASE}"
    defaults = dict(line.split("=", 1) for line in section("arguments").split())
    assert defaults == {key: arguments[key] for key in ("TORCH", "TORCH_INDEX", "UV")}
    assert re.fullmatch(r"\d+\.\d+\.\d+", arguments["UV"])
    syncs = re.findall(r"^\s*(?:uv sync|uv export) .*", SCRIPT.read_text(), re.MULTILINE)
    assert len(syncs) == 2
    assert all(" --frozen " in line and " --no-dev " in line for line in syncs)
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert required.startswith(">=3.11,")
    assert arguments["BASE"].startswith("python:3.11-")


def test_the_container_runs_as_a_user_in_a_folder_that_is_the_users() -> None:
    last_stage = instructions()[max(i for i, (name, _) in enumerate(instructions()) if name == "FROM") :]
    users = [text for name, text in last_stage if name == "USER"]
    assert users == ["1000"]
    assert [name for name, _ in last_stage][-2:] == ["USER", "CMD"]
    (folder,) = [text for name, text in last_stage if name == "WORKDIR"]
    commands = " ".join(text for name, text in last_stage if name == "RUN")
    assert f"--owner transgan --group transgan {folder}" in commands
    assert "useradd --uid 1000" in commands
    environment = " ".join(text for name, text in last_stage if name == "ENV")
    assert f"PYTHONPATH={folder}" in environment
    assert "NVIDIA_VISIBLE_DEVICES=all" in environment


def test_no_secret_and_no_address_but_the_index() -> None:
    text = DOCKERFILE.read_text() + DEFINITION.read_text() + SCRIPT.read_text()
    assert set(re.findall(r"https?://[^\s}\"]+", text)) == {"https://download.pytorch.org/whl/cpu"}
    assert not re.search(r"(?i)password|secret|token", text)


@pytest.mark.parametrize("variant", ["cuda", "cpu"])
def test_install_asks_uv_for_the_versions_of_the_lock(variant: str, tmp_path: Path) -> None:
    """With a stand-in for uv that exports as uv does and records what else it is asked."""
    real = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if real is None:
        pytest.skip("uv is not installed")
    asked = tmp_path / "asked"
    fake = tmp_path / "uv"
    fake.write_text(
        f'#!/bin/sh\n[ "$1" != export ] || exec {real} "$@"\necho "$@" >> {asked}\n'
        f'for word; do case $word in "$TMPDIR"/tmp*) cp "$word" {tmp_path}/requirements;; esac; done\n'
    )
    fake.chmod(0o755)
    path, venv = f"{tmp_path}:{os.environ['PATH']}", str(tmp_path / "venv")
    environment = {**os.environ, "PATH": path, "TMPDIR": str(tmp_path), "ENVIRONMENT": venv}
    subprocess.run(["sh", str(SCRIPT), variant], cwd=ROOT, env=environment, check=True)
    lines = asked.read_text().splitlines()
    if variant == "cuda":
        assert lines == ["sync --frozen --no-dev --no-install-project"]
        return
    locked = {
        package["name"]: package["version"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    }
    assert lines[-1].split()[-2:] == [f"torch=={locked['torch']}", f"torchvision=={locked['torchvision']}"]
    assert "--default-index https://download.pytorch.org/whl/cpu" in lines[-1]
    required = set(re.findall(r"^([\w-]+)==", (tmp_path / "requirements").read_text(), re.MULTILINE))
    assert {"numpy", "snakemake", "torch-fidelity", "nvidia-ml-py", "sympy", "networkx"} <= required
    assert not {name for name in required if re.match(r"cuda-|nvidia-(?!ml-py)|triton$|torch$|torchvision$", name)}
    everything = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert all(re.match(r"(cuda|nvidia)-|triton$|torch$|torchvision$", name) for name in everything - required)


def test_install_refuses_an_unknown_variant() -> None:
    done = subprocess.run(["sh", str(SCRIPT), "rocm"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "install.sh: 'rocm': cuda or cpu\n")


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
