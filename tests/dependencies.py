"""The dependencies of pyproject.toml, with the versions in uv.lock.

`python -m tests.dependencies` prints their names without bounds, for `make test-newest`.
"""

import tomllib
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT


@dataclass(frozen=True)
class Dependency:
    """A package that this project needs, with its bounds and the versions in uv.lock, of which there may be several."""

    requirement: Requirement
    locked: tuple[Version, ...]

    @property
    def upper_bound(self) -> Version | None:
        """What its version must be below."""
        return next((Version(bound.version) for bound in self.requirement.specifier if bound.operator == "<"), None)


def dependencies() -> dict[str, Dependency]:
    """The packages that this project and its extras need, by name; not those of developers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    wanted = [name for name in project["dependencies"] + extras if Requirement(name).name != project["name"]]
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    found = {}
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        versions = [Version(package["version"]) for package in locked if package["name"] == name]
        found[requirement.name] = Dependency(requirement, tuple(sorted(versions)))
    return found


if __name__ == "__main__":
    print("\n".join(dependencies()))
