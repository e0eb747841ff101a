"""Documentation: links and citations resolve, the map from the paper to the code is right, the wording is plain."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

PAPER = ROOT / "docs" / "paper.md"
CITING = ("*.md", "*.py", "*.smk", "*.yaml", "*.json", "*.j2", "*.rst", "*.toml", "*.csv", "Makefile", "Snakefile")
FOLDERS = ("transgan", "workflow", "docs", "benchmarks", "tests")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "results" / "README.md"]

LINK = re.compile(r"\[(?P<text>[^\]\[]*)\]\((?P<target>[^)\s]+)\)")
MARKDOWN_FILE = re.compile(r"(?<![\w/.-])[\w./-]*\w\.md\b")
BUILT = re.compile(r"(results/\w+)?/?(tables|findings)/[\w-]+\.md")  # outputs, not documentation
NUMBER = r"\d+(?:\.\d+)?"
PAPER_SECTIONS = re.compile(
    rf"docs/paper\.md,?\s+(?:sections?\s+)?({NUMBER}(?:(?:,| and| to)\s+{NUMBER})*)(?![\d.]*\w)"
)

# Phrases that CONTRIBUTING.md replaces, as far as a pattern can tell that they are meant that way.
PHRASES = {
    r"\bof ours\b": "of this project",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\b(gone|goes|go|going) on (with|from)\b": "resume",
    r"\bpassed over\b": "skipped",
    r"\baloud\b": "with a warning",
    r"\btold to stop\b": "received a stop signal",
    r"\bis had of\b": "delete and rewrite",
    r"\b(made|makes|make|making) anew\b": "recompute, rebuild",
    r"\bknows? how to say\b": "delete and rewrite",
    r"\b(take|takes|taking|took|taken) turns\b": "alternate",
    r"\bthe one before\b": "the previous",
    r"\bat hand\b": "available",
    r"\bas (it lies|they lie)\b": "as stored",
    r"\b(nobody|somebody)\b": "no other process, a user",
    # What the paper has is often not known to this project, which is no statement about the paper.
    r"\bthe paper('s \w+)? (does not|doesn't|never) (say|state|describe|mention|tell|print)\w*": "not known to us",
    r"\bthe paper (is silent|says nothing|gives no|has no)\b": "no ... of the paper is known to us",
    r"\bneither (the )?(paper|of them|one) (nor [\w ]+ )?(say|state|describe|mention)s?\b": "not known to us",
    r"\bboth are silent\b": "neither is known to us",
    r"\b(not|nowhere|never) (said|stated|described) (in|by) the (paper|authors)\b": "not known to us",
    r"\b(is|are) (not|nowhere) stated\b": "not known to us",
    r"\bpublished (parameter )?counts?\b": "counted on the authors' modules",
    r"\bdigit[ -](IS|FID)\b": "IS-digits, FID-digits",
    r"\bsecond version\b": "first version (v2)",
    r"\bas their authors report\b": "name the source",
}


def texts(*folders: str) -> Iterator[tuple[Path, str]]:
    """Every text file of the folders, and those in the root."""
    paths = {path for folder in folders for pattern in CITING for path in (ROOT / folder).rglob(pattern)}
    paths |= {path for pattern in CITING for path in ROOT.glob(pattern)}
    for path in sorted(paths - {Path(__file__)}):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            yield path, path.read_text(encoding="utf-8")


def where(path: Path, text: str, position: int) -> str:
    return f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, position) + 1}"


def links(page: Path) -> Iterator[tuple[str, str, str]]:
    """Place, text and target of every relative link of a page."""
    content = page.read_text(encoding="utf-8")
    for link in LINK.finditer(content):
        if "://" not in link["target"]:
            yield where(page, content, link.start()), link["text"], link["target"]


@cache
def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@cache
def definitions(module: Path) -> set[str]:
    """What a module defines: names and, of its classes, `Class.name`."""

    def names(body: list[ast.stmt]) -> Iterator[str]:
        for statement in body:
            match statement:
                case ast.FunctionDef(name=name):
                    yield name
                case ast.ClassDef(name=name, body=inner):
                    yield name
                    yield from (f"{name}.{member}" for member in names(inner))
                case ast.Assign(targets=targets):
                    yield from (target.id for target in targets if isinstance(target, ast.Name))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    yield name

    return set(names(ast.parse(module.read_text(encoding="utf-8")).body))


def in_params(key: str) -> bool:
    """Whether params.yaml has a key, given as `tables.unconditional`."""
    value = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def test_every_cited_page_exists() -> None:
    missing = []
    for path, content in texts(*FOLDERS):
        if path.name in ("dvc.yaml", "demo.md", "hooks.py", "generated_pages.py", "test_site.py"):
            continue  # results, and pages of the site
        for citation in MARKDOWN_FILE.finditer(content):
            name = citation[0]
            writes_a_page = path.parent.name == "benchmarks" or path.name == "architectures.py"
            places = (path.parent, ROOT, ROOT / "docs" if writes_a_page else ROOT)
            if not BUILT.fullmatch(name) and not any((place / name).is_file() for place in places):
                missing.append(f"{where(path, content, citation.start())}: {name}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = []
    for place, _, target in links(page):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            dead.append(f"{place}: {target}")
    assert not dead, "\n".join(dead)


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    listed = set(re.findall(r"([\w/-]+\.md)$", nav, re.MULTILINE))
    assert {path.name for path in PAGES if path.parent.name == "docs"} <= listed, "add the page to `nav` in mkdocs.yml"


def test_every_cited_section_of_the_paper_page_exists() -> None:
    sections = set(re.findall(rf"^#+ ({NUMBER}) ", PAPER.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(sections) > 20
    missing, cited = [], 0
    for path, content in texts(*FOLDERS):
        for citation in PAPER_SECTIONS.finditer(content):
            for number in re.findall(NUMBER, citation[1]):
                cited += 1
                if number not in sections:
                    missing.append(f"{where(path, content, citation.start())}: docs/paper.md {number}")
    assert not missing, "\n".join(missing)
    assert cited > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_linked_name_is_defined_where_the_link_leads(page: Path) -> None:
    wrong = []
    for place, text, target in links(page):
        name, path = text.strip("`"), (page.parent / target).resolve()
        if not text.startswith("`") or "/" in name or name == path.name:
            continue
        if path.suffix == ".py" and name not in definitions(path):
            wrong.append(f"{place}: {target} does not define {name}")
        if path.name == "params.yaml" and not in_params(name):
            wrong.append(f"{place}: params.yaml has no {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_the_map_names_every_table_and_figure(kind: str) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    mapped = {text.strip("`") for _, text, target in links(PAPER) if target.endswith("params.yaml")}
    assert {f"{kind}.{name}" for name in content[kind]} <= mapped


def test_the_pages_show_the_same_example() -> None:
    """tests/models/test_usage.py runs the one in models.md."""
    example = re.compile(r"## Use it in your own code\n+```python\n(.*?)```", re.DOTALL)
    shown = [example.search((ROOT / "docs" / name).read_text("utf-8")) for name in ("architecture.md", "models.md")]
    assert all(shown)
    assert len({match[1] for match in shown if match}) == 1


def test_the_wording_is_plain() -> None:
    """A word list catches the worst only; CONTRIBUTING.md says how prose is written here."""
    pattern = re.compile("|".join(f"(?P<p{i}>{phrase})" for i, phrase in enumerate(PHRASES)), re.IGNORECASE)
    better = list(PHRASES.values())
    found = []
    for path, content in texts(*FOLDERS):
        for match in pattern.finditer(content):
            line = content[content.rfind("\n", 0, match.start()) + 1 :].split("\n", 1)[0]
            if path.name == "CONTRIBUTING.md" and line.startswith("|"):
                continue  # the word list itself
            assert match.lastgroup is not None
            index = next(i for i in range(len(better)) if match[f"p{i}"])
            found.append(f"{where(path, content, match.start())}: {match[0]!r}; write {better[index]!r}")
    assert not found, "\n".join(found)
