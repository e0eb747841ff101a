"""Pages of the documentation site that are generated when it is built: the command line, params.yaml, Python.

They exist on the site only. `docs/hooks.py` adds them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from transgan.schema.params import Params

PYTHON_MODULES = {
    "transgan.api": "What `import transgan` offers",
    "transgan.models": "Networks",
    "transgan.metrics.image_sources": "Images to score",
    "transgan.metrics.evaluator": "Scores",
    "transgan.metrics.reference_statistics": "Statistics of real images",
    "transgan.metrics.neighbours": "Nearest neighbours",
}


def command_line() -> str:
    """Every verb with its arguments and options, as typer documents them."""
    command = [sys.executable, "-m", "typer", "transgan.cli", "utils", "docs", "--name", "transgan"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, _, body = done.stdout.partition("\n")
    head, _, verbs = body.partition("**Commands**:")  # a list that cuts every sentence
    _, _, verbs = verbs.partition("\n## ")
    return f"# The command line\n\n{head.strip()}\n\n## {verbs}"


def python() -> str:
    """Docstrings of the modules that docs/python.md and docs/scoring.md use, for mkdocstrings."""
    intro = "# Python\n\n[From Python](../python.md) has examples.\n"
    parts = [f"\n## {title}\n\n::: {module}\n" for module, title in PYTHON_MODULES.items()]
    return intro + "".join(parts)


def params(schema: dict[str, Any] | None = None) -> str:
    """Every key of params.yaml with type, range, default and meaning, from its JSON schema."""
    schema = schema or Params.model_json_schema()
    lines = [
        "# params.yaml, every key",
        "",
        "Generated from the classes in `transgan/schema/`, which check the file. [params.yaml, key by",
        "key](../params.md) explains how its sections work together, and how numbers are written.",
        "",
        "## The file",
        "",
        *_table(schema),
    ]
    for name in _by_use(schema):
        definition = schema["$defs"][name]
        lines += ["", f"## {name}", ""]
        if "description" in definition:
            lines += [_cell(definition["description"], table=False), ""]
        lines += _table(definition)
    return "\n".join(lines) + "\n"


def _by_use(schema: dict[str, Any]) -> list[str]:
    """Names of all definitions, in the order in which the file's sections lead to them."""
    found: list[str] = []

    def follow(node: Any) -> None:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.append(name)
                follow(schema["$defs"][name])
            for key, value in node.items():
                if key != "$defs":
                    follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(schema["properties"])
    return found


def _table(definition: dict[str, Any]) -> list[str]:
    """The keys of one definition as a Markdown table; of a definition without keys, what it is."""
    if "properties" not in definition:
        return [_type(definition)]
    required = definition.get("required", [])
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, value in definition["properties"].items():
        default = "required" if key in required else _default(value)
        rows.append(f"| `{key}` | {_type(value)} | {default} | {_cell(value.get('description', ''))} |")
    return rows


def _default(value: dict[str, Any]) -> str:
    if "default" not in value:
        return ""
    text = json.dumps(value["default"], ensure_ascii=False)
    return f"`{_pipe(text)}`" if len(text) <= 60 else "see its type"


def _type(value: dict[str, Any]) -> str:
    """The type and range of a value, in a few words; definitions are links."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in value:
            return " or ".join(dict.fromkeys(_type(part) for part in value[union]))
    kind = str(value.get("type", "any value"))
    if kind == "array":
        items = value.get("items") or {}
        inner = _type(items) if items else " and ".join(_type(part) for part in value.get("prefixItems", []))
        return f"list of {inner}" if inner else "list"
    if kind == "object":
        inner = [*value.get("patternProperties", {}).values()]
        if isinstance(value.get("additionalProperties"), dict):
            inner.append(value["additionalProperties"])
        return "names, each: " + " or ".join(map(_type, inner)) if inner else "mapping"
    return " ".join([kind, ", ".join(_bounds(value))]).strip()


def _bounds(value: dict[str, Any]) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": "&gt;", "maximum": "≤", "exclusiveMaximum": "&lt;"}
    for key, sign in signs.items():
        if key in value:
            yield f"{sign} {value[key]}"


def _cell(text: str, table: bool = True) -> str:
    """A description as text, not as Markdown or HTML."""
    text = text.replace("<", "&lt;").replace("*", r"\*")
    return _pipe(" ".join(text.split())) if table else text


def _pipe(text: str) -> str:
    return text.replace("|", r"\|")
