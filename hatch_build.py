"""Adds the files of a project to a wheel, in transgan/project/, from where they stand in a checkout.

`transgan init` lays them out again, and params.yaml serves where there is no project. Their list is in pyproject.toml.
An editable installation gets no copies: it reads the checkout's own.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProjectFiles(BuildHookInterface):  # type: ignore[type-arg]
    """The hook that hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the additional files of a wheel. Raises if one is missing."""
        if version != "standard":
            return
        for name in self.config["files"]:
            build_data["force_include"][name] = f"transgan/project/{name}"
