"""MkDocs hooks: adds README.md and other pages from outside of docs/ to the site, and makes links to code work there.

Pages link to files of the repository (`../transgan/cli.py`), as is right on GitHub. On the site, each such file has a
page under `source/` that shows it.
"""

import json
import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generated_pages import command_line, params, python  # MkDocs imports hooks with their folder in sys.path

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")  # MkDocs makes README.md the home page
GENERATED = {"reference/command-line.md": command_line, "reference/params.md": params, "reference/python.md": python}

LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
FENCE = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml", ".smk": "python"}


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages of the root, the generated ones, and a page for every file that one of them links to."""
    from mkdocs.structure.files import File

    added = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    added |= {place: page() for place, page in GENERATED.items()}
    pages = added | {file.src_uri: file.content_string for file in files.documentation_pages()}
    linked = {path for place, text in pages.items() for path in _repository_links(place, text)}
    for path in sorted(linked):
        added |= _source_pages(path)
    for place, text in added.items():
        if (there := files.get_file_from_path(place)) is not None:  # what GitHub shows of a generated page
            files.remove(there)
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Point links at the site's pages."""
    place = page.file.src_uri
    if place.startswith("source/"):
        return markdown

    def moved(match: re.Match[str]) -> str:
        path = _path(place, match["target"])
        if path is None:
            return match[0]
        return posixpath.relpath(_place(path), posixpath.dirname(place) or ".") + (match["anchor"] or "")

    parts = FENCE.split(markdown)
    return "".join(part if index % 2 else LINK.sub(moved, part) for index, part in enumerate(parts))


def _path(place: str, target: str) -> str | None:
    """The repository's path that a link on a page means, if it is a relative one."""
    if "://" in target or target.startswith(("/", "#", "mailto:")):
        return None
    origin = place if place in PAGES else f"docs/{place}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def _place(path: str) -> str:
    """Where the site has a file of the repository."""
    if path in PAGES:
        return path
    if path.startswith("docs/") and not path.endswith(".py"):
        return path.removeprefix("docs/")
    return f"source/{path}/README.md" if (ROOT / path).is_dir() else f"source/{path}.md"


def _repository_links(place: str, text: str) -> set[str]:
    """Files and folders that a page links to and that are no pages of the site."""
    parts = FENCE.split(text)[::2]
    paths = {_path(place, match["target"]) for part in parts for match in LINK.finditer(part)}
    return {path for path in paths if path and _place(path).startswith("source/") and (ROOT / path).exists()}


def _source_pages(path: str) -> dict[str, str]:
    """The page of a file, or of a folder those of its files as well."""
    head = f"---\nsearch: {{exclude: true}}\nhide: [toc]\n---\n\n# {path}\n\n"
    place, full = _place(path), ROOT / path
    if full.is_dir():
        children = sorted(child for child in full.iterdir() if child.is_file() and child.suffix not in (".pyc", ".png"))
        listing = "".join(f"- [{child.name}]({child.name}.md)\n" for child in children)
        pages = {place: head + (listing or "Only folders.\n")}
        for child in children:
            pages |= _source_pages(os.fspath(child.relative_to(ROOT)))
        return pages
    if full.suffix == ".ipynb":
        return {place: _notebook(json.loads(full.read_text(encoding="utf-8")))}
    language = LANGUAGES.get(full.suffix, "text")
    return {place: f"{head}``````{language}\n{full.read_text(encoding='utf-8')}\n``````\n"}


def _notebook(content: dict[str, Any]) -> str:
    """The cells of a notebook, which has no outputs, as a page."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in content["cells"]]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells) + "\n"
