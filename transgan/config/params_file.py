"""YAML read safely, and no key twice in a mapping: DVC refuses such a file, PyYAML takes the last one without a word. Imports no torch."""

from typing import Any

import yaml


def load(text: str) -> Any:
    """The one document in `text` as plain data. Raises yaml.YAMLError."""
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        _check_keys(node, set())  # before merge keys (<<) are filled in, which writes into the nodes
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _check_keys(node: yaml.Node | None, seen: set[int]) -> None:
    """Every node once: anchors may even lead to themselves."""
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
