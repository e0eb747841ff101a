"""The documentation's site: generated pages are complete, links lead to its pages, it builds and loads nothing else."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main

import transgan
from docs import generated_pages
from tests.conftest import ROOT
from transgan.cli import app
from transgan.schema.params import Params


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "docs")
    return import_module("docs.hooks")


def test_the_command_line_page_has_every_verb_and_option() -> None:
    page = generated_pages.command_line()
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    sections = dict(re.findall(r"^## `transgan ([\w-]+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(group.commands)
    for name, verb in group.commands.items():
        options = {option for parameter in verb.params for option in parameter.opts if option.startswith("--")}
        assert {
            option for option in options if f"`{option}" not in sections[name] and f"{option} " not in sections[name]
        } == set()


def test_the_params_page_has_every_key_with_its_meaning() -> None:
    page = generated_pages.params()
    definitions = Params.model_json_schema()["$defs"]
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert set(headings) == set(definitions)
    links = set(re.findall(r"\]\(#([\w-]+)\)", page))
    assert links == {name.lower() for name in definitions}
    for name, definition in definitions.items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` ", section, re.MULTILINE) == list(definition.get("properties", {}))
    assert re.search(
        r"^\| `n_critic` \| integer ≥ 1 \| `4` \| discriminator steps per generator step \|$", page, re.MULTILINE
    )


def test_the_python_page_has_what_import_offers() -> None:
    modules = [import_module(name) for name in generated_pages.PYTHON_MODULES]
    offered = {name for module in modules for name in getattr(module, "__all__", [])}
    assert set(transgan.__all__) - {"__version__"} <= offered
    assert all(f"::: {module.__name__}\n" in generated_pages.python() for module in modules)


@pytest.mark.parametrize(
    ("place", "link", "expected"),
    [
        ("README.md", "docs/paper.md", "paper.md"),
        ("README.md", "CONTRIBUTING.md#tests", "CONTRIBUTING.md#tests"),
        ("paper.md", "../README.md", "README.md"),
        ("paper.md", "../transgan/cli.py", "source/transgan/cli.py.md"),
        ("paper.md", "../transgan/schema", "source/transgan/schema/README.md"),
        ("python.md", "../examples/own-figure.ipynb", "source/examples/own-figure.ipynb.md"),
        ("paper.md", "images/demo-samples.png", "images/demo-samples.png"),
        ("reference/params.md", "../params.md", "../params.md"),
        ("paper.md", "https://example.org/x.md", "https://example.org/x.md"),
        ("paper.md", "#1-the-text", "#1-the-text"),
    ],
)
def test_links_lead_to_pages_of_the_site(hooks: Any, place: str, link: str, expected: str) -> None:
    page: Any = SimpleNamespace(file=SimpleNamespace(src_uri=place))
    text = f"See [this]({link}).\n\n```\n[kept]({link})\n```\n"
    assert hooks.on_page_markdown(text, page, None, None) == text.replace(f"this]({link}", f"this]({expected}")


def test_the_page_of_a_notebook_has_its_cells(hooks: Any) -> None:
    (text,) = hooks._source_pages("examples/own-figure.ipynb").values()
    assert "# Read the tables, draw a figure\n" in text
    assert '```python\nfid = cells[(cells["table"] == TABLE)' in text


def test_the_badges_say_what_pyproject_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [text.rpartition(" ")[2] for text in project["classifiers"] if re.search(r"Python :: 3\.\d+$", text)]
    for name, value in {"licence": project["license"], "python": " | ".join(pythons), "arxiv": "2102.07074"}.items():
        assert f">{value}</text>" in (ROOT / "docs/images" / f"badge-{name}.svg").read_text()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="MkDocs is not installed; `make site` does that")
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {"index.html", "tutorial.html", "command-line.html"} <= {page.name for page in pages}
    loaded = re.compile(r'<(?:script|img|iframe|link)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    assert [hit for page in pages for hit in loaded.findall(page.read_text("utf-8"))] == []
