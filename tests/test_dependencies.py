"""Bounds of dependencies; private interfaces of others are used in one module each, tested with a named release."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from tests.conftest import ROOT
from tests.dependencies import Dependency, dependencies
from transgan.pipeline import snakemake_internals
from transgan.tracking import mlflow_internals
from transgan.utils import torch_private

COUPLED = {"torchvision": "torch"}  # whose releases come with another package's
PACKAGES = ("torch", "snakemake", "dvc", "mlflow")
PRIVATE = {Path("transgan/utils/torch_private.py")}
# Snakemake's own objects, which are no plugin interface.
OF_SNAKEMAKE = {Path("transgan/pipeline/snakemake_internals.py")}
OF_MLFLOW = {Path(f"transgan/tracking/{name}.py") for name in ("store", "models", "mlflow_internals")}


@pytest.mark.parametrize("dependency", dependencies().values(), ids=dependencies())
def test_the_upper_bound_is_the_major_version_after_the_tested_one(dependency: Dependency) -> None:
    """Of a 0.x version the minor one, as any of them may change what is there."""
    newest = dependency.locked[-1]
    if newest.major or dependency.requirement.name in COUPLED:
        expected = Version(f"{newest.major + 1}")
    else:
        expected = Version(f"0.{newest.minor + 1}")
    assert dependency.upper_bound == expected
    assert all(dependency.requirement.specifier.contains(version) for version in dependency.locked)


@pytest.mark.slow
def test_the_lock_file_is_of_these_bounds() -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not installed")
    command = [uv, "lock", "--check", "--offline"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if "network" in done.stderr or "offline" in done.stderr:
        pytest.skip("uv's cache is empty, and this test does not download")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("package", "tested"),
    [
        ("torch", torch_private.TESTED),
        ("snakemake", snakemake_internals.TESTED),
        ("mlflow", mlflow_internals.TESTED),
    ],
)
def test_the_release_whose_private_interfaces_were_tested_is_that_of_the_lock_file(package: str, tested: str) -> None:
    """After an update of uv.lock: run the tests that use them, then name the new release in the module."""
    locked = dependencies()[package].locked[-1]
    assert f"{locked.major}.{locked.minor}" == tested


def private_uses(tree: ast.AST) -> Iterator[str]:
    """Names with an underscore that a module takes from PyTorch, Snakemake, DVC or MLflow."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            bound |= {alias.asname or alias.name.split(".")[0] for alias in node.names if of_others(alias.name)}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            bound |= {alias.asname or alias.name for alias in node.names if of_others(node.module)}
        yield from (name for name in names if of_others(name) and any(map(is_private, name.split("."))))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            base: ast.AST = node.value
            while isinstance(base, ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name) and base.id in bound:
                yield f"{base.id}...{node.attr}"


def of_others(module: str) -> bool:
    return module.split(".")[0] in PACKAGES


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def sources() -> Iterator[Path]:
    for folder in ("transgan", "benchmarks", "snakemake_logger_plugin_transgan"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_private_interfaces_are_used_in_one_module() -> None:
    found = {
        str(path.relative_to(ROOT)): uses
        for path in sources()
        if path.relative_to(ROOT) not in PRIVATE and (uses := list(private_uses(ast.parse(path.read_text()))))
    }
    assert not found


def test_the_search_finds_every_way_to_use_one() -> None:
    text = (
        "import torch._dynamo\nfrom torch.utils._pytree import tree_leaves\nimport torch as t\nt.nn._x.y\nt.__version__"
    )
    assert list(private_uses(ast.parse(text))) == ["torch._dynamo", "torch.utils._pytree.tree_leaves", "t..._x"]


def importing(*packages: str) -> set[Path]:
    """The modules that import one of these packages."""
    return {
        path.relative_to(ROOT)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if module.split(".")[0] in packages
    }


def test_nothing_imports_snakemake_or_dvc_but_the_module_for_it() -> None:
    """Plugin interfaces (snakemake_interface_...) are documented, and may be used."""
    assert importing("snakemake", "dvc") <= OF_SNAKEMAKE


def test_nothing_imports_mlflow_but_the_modules_for_it() -> None:
    assert {path for path in importing("mlflow") if path.parts[0] == "transgan"} == OF_MLFLOW
