"""GitHub's workflow: every Python that pyproject.toml allows, targets that exist, actions of a named major version."""

import re
import tomllib
from typing import Any

import pytest
import yaml

import transgan
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def jobs() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    return content


def pythons() -> list[str]:
    """The versions that pyproject.toml lists as supported."""
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text) for text in PROJECT["classifiers"]]
    return [match[1] for match in found if match]


def test_the_bounds_are_those_of_the_listed_versions() -> None:
    minors = [int(version.split(".")[1]) for version in pythons()]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert PROJECT["requires-python"] == f">=3.{minors[0]},<3.{minors[-1] + 1}"


def test_tests_and_wheel_run_with_each_python() -> None:
    assert [entry["python"] for entry in jobs()["tests"]["strategy"]["matrix"]["include"]] == pythons()
    assert jobs()["wheel"]["strategy"]["matrix"]["python"] == pythons()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_githubs_own_at_a_major_version_and_read_only(workflow: Any) -> None:
    text = workflow.read_text()
    uses = re.findall(r"uses: (\S+)", text)
    assert uses
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in uses)
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    steps = [step.get("run", "") for job in jobs().values() for step in job["steps"]]
    called = {name for run in steps for name in re.findall(r"\bmake ([a-z-]+)", run)}
    called |= {entry["target"] for entry in jobs()["tests"]["strategy"]["matrix"]["include"]}
    assert {"lint", "test", "test-fast"} <= called <= targets


def test_the_version_is_the_same_wherever_it_is_written() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == transgan.__version__ == citation["version"]
