"""Reads a params file: strict YAML, validated against the schema, with every name checked that refers to an entry.

Snakemake and DVC read the same file with readers of their own. What these would read otherwise is refused here, so that
all three give the same answer.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from transgan.config import project_files
from transgan.config.validation import lookup, validated
from transgan.errors import UserError
from transgan.schema import Params

PARAMS_FILE = Path("params.yaml")
MOST_LEVELS = 50  # of nesting; libyaml's recursion ends the process at some ten thousand
LARGEST_INTEGER = 2**63 - 1


def default_file() -> Path:
    """params.yaml of the current folder or, where there is none, the one that comes with this package."""
    shipped = project_files.shipped(PARAMS_FILE)
    return PARAMS_FILE if os.path.lexists(PARAMS_FILE) or not shipped.is_file() else shipped


def read(file: Path) -> dict[str, Any]:
    """The content of a params file as plain data. Raises UserError if it is not readable or not a mapping."""
    try:
        content = load_yaml(file.read_text())
    except FileNotFoundError:
        raise UserError(
            f"{file}: not there; run this in a project's folder (`transgan init DIR` lays one out), "
            "or name a file with --params"
        ) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); name another file with --params") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: text that is not UTF-8, impossible dates, huge integers
        is_syntax = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        advice = "; check indentation, braces and quotes there" if is_syntax else ""
        raise UserError(f"{file}: not readable as YAML: {yaml_problem(error)}{advice}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: must be a mapping with the keys {', '.join(Params.model_fields)}")
    _check_plain(content, file, (), {})
    return content


def _check_plain(value: Any, file: Path, at: tuple[str, ...], deepest: dict[int, int]) -> None:
    """Raise unless `value` is what JSON can hold: text as keys, no dates or bytes, limited depth and integers.

    `deepest` holds the depth at which each collection was checked: aliases share and may contain themselves.
    """
    place = f"{file}: {'.'.join(at[:8])}"
    if isinstance(value, dict | list):
        if len(at) > MOST_LEVELS:
            raise UserError(f"{place}...: nested more than {MOST_LEVELS} levels deep, which no key needs")
        if deepest.get(id(value), -1) >= len(at):
            return
        deepest[id(value)] = len(at)
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict) and not isinstance(key, str):
                name = str(key).lower() if isinstance(key, bool) else str(key)
                raise UserError(f'{place}: the key {name} is not read as text; put it in quotes: "{name}"')
            _check_plain(inner, file, (*at, str(key)), deepest)
    elif isinstance(value, str):
        if "\0" in value:
            raise UserError(f"{place}: contains the character \\0, which no path or command can hold; remove it")
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise UserError(f"{place}: the integer is too large; the largest is {LARGEST_INTEGER}")
    elif not isinstance(value, int | float | None):
        kind = type(value).__name__
        raise UserError(f'{place}: {value} is read as a {kind}; put it in quotes: "{value}"')


def parse(content: dict[str, Any], file: Path) -> Params:
    """Validate plain data as Params. Raises UserError if a value is wrong or a name refers to no entry."""
    params = validated(Params, content, file, "")
    _check_runs(params, file)
    _check_tables_and_figures(params, file)
    _check_scales(params, file)
    return params


def _check_runs(params: Params, file: Path) -> None:
    """Runs, classifiers and protocols must refer to entries of the file."""
    for name, run in params.runs.items():
        where = f"runs.{name}"
        lookup(params.datasets, run.dataset, "dataset", file, f"{where}.dataset: ")
        lookup(params.models, run.model, "model", file, f"{where}.model: ")
        lookup(params.recipes, run.recipe, "recipe", file, f"{where}.recipe: ")
        protocol = lookup(params.protocols, run.protocol, "protocol", file, f"{where}.protocol: ")
        if protocol.statistics is not None:
            raise UserError(
                f"{file}: {where}.protocol: {run.protocol} measures against published statistics, which may be missing;"
                " name a protocol without `statistics`: the run is then scored under both"
            )
    for name, protocol in params.protocols.items():
        for dataset in protocol.statistics.files if protocol.statistics else ():
            lookup(params.datasets, dataset, "dataset", file, f"protocols.{name}.statistics.files: ")
    for name, classifier in params.classifiers.items():
        lookup(params.datasets, classifier.dataset, "dataset", file, f"classifiers.{name}.dataset: ")


def _check_tables_and_figures(params: Params, file: Path) -> None:
    """Tables and figures must refer to runs and tables of the file."""
    for name, table in params.tables.items():
        for run in table.run_names:
            lookup(params.runs, run, "run", file, f"tables.{name}: ")
    for name, figure in params.figures.items():
        for run in figure.runs:
            lookup(params.runs, run, "run", file, f"figures.{name}: ")
        if figure.table is not None:
            lookup(params.tables, figure.table, "table", file, f"figures.{name}.table: ")


def _check_scales(params: Params, file: Path) -> None:
    """A scale must list every entry, so that DVC can track its parameters, and no others."""
    for scale_name, scale in params.scales.items():
        for kind in ("datasets", "models", "recipes", "protocols", "classifiers", "runs"):
            entries, changes = getattr(params, kind), getattr(scale, kind)
            where = f"scales.{scale_name}.{kind}: "
            for name in changes:
                lookup(entries, name, kind.removesuffix("s"), file, where)
            for name in entries:
                if name not in changes:
                    raise UserError(
                        f"{file}: {where}{name} is missing; list it, with {{}} if the scale changes nothing"
                    )


def load_yaml(text: str) -> Any:
    """The only document in `text` as plain data. Raises yaml.YAMLError, also if a mapping has a key twice.

    DVC refuses a duplicate key too. PyYAML on its own silently takes the last one.
    """
    _check_depth(text)
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        _check_keys(node, set())  # first, because construct_document writes merged keys (<<) into the nodes
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def yaml_problem(error: Exception) -> str:
    """What `load_yaml` found wrong, in one line that begins with line and column where they are known.

    PyYAML's own text spans several lines and names a file that does not exist.
    """
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).replace('in "<unicode string>", ', "").split())
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    start = f" that begins in line {error.context_mark.line + 1}" if error.context_mark else ""
    context = f" ({error.context}{start})" if error.context else ""
    return f"{place}{error.problem}{context}"


def _check_depth(text: str) -> None:
    """Raise if collections are nested too deeply. Events are parsed without recursion, unlike nodes."""
    depth, line = 0, 0
    too_deep = f"nested more than {MOST_LEVELS} levels deep, which no key needs"
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else line
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MOST_LEVELS:
                    raise yaml.YAMLError(f"line {line}: {too_deep}")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.scanner.ScannerError as error:
        # Newer releases of libyaml have a limit of their own, which their scanner meets before it gives an event.
        if "nesting depth" not in str(error):
            raise
        raise yaml.YAMLError(f"line {line}: {too_deep}") from error


def _check_keys(node: yaml.Node | None, seen: set[int]) -> None:
    """Raise if a mapping inside `node` has a key twice. Visits each node once: an alias may refer to its own parent."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _check_keys(inner, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, inner in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            keys.add(str(key.value))
            _check_keys(inner, seen)
