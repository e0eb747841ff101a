"""The files of a project that come with this package: params.yaml, workflow/, dvc.yaml, the settings of git and DVC.

A wheel contains them in transgan/project/, where hatch_build.py puts them. An editable installation and a checkout use
the checkout's own. pyproject.toml lists them.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
IN_WHEEL = PACKAGE / "project"
BUILT = {"__pycache__", ".snakemake"}


def shipped(name: str | Path) -> Path:
    """Where a file of the project is, by its path in a project. It need not exist."""
    return (IN_WHEEL if IN_WHEEL.is_dir() else PACKAGE.parent) / name


def names() -> Iterator[Path]:
    """The paths of all files, relative to a project's root. Raises OSError if this package has none."""
    if IN_WHEEL.is_dir():
        listed = [path.name for path in sorted(IN_WHEEL.iterdir())]
    else:
        settings = tomllib.loads(shipped("pyproject.toml").read_text(encoding="utf-8"))
        listed = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["files"]
    for name in listed:
        path = shipped(name)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file.relative_to(shipped("")) for file in files if file.is_file() and not BUILT & set(file.parts))
