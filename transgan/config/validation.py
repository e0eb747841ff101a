"""Reports a mistake in a params file in one line: the file, the key, what is wrong, and the nearest valid name."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from transgan.errors import UserError
from transgan.schema.base import Strict

# The key that selects one of several configuration classes.
FAMILY = "family"

Config = TypeVar("Config", bound=Strict)
Value = TypeVar("Value")


def validated(config: type[Config], content: Any, file: Path, where: str) -> Config:
    """`content` as an instance of `config`. `where` is the place of `content` in the file.

    Raises UserError in one line: file, place, key, what is wrong, and the nearest valid name.
    """
    try:
        return config.model_validate(content)
    except ValidationError as error:
        errors = error.errors()
        # A misspelt required key gives two errors. The one about the missing key comes first, but the other is clearer.
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        keys, parent = _walk(config, first["loc"])
        key = ".".join(keys)
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown key{_nearest(keys[-1], list(parent.model_fields))}"
        elif not isinstance(first["input"], dict | list):
            message += f" (is {first['input']!r})"
        place = f"{where}: {key}" if where and key else where or key
        raise UserError(f"{file}: {place}: {message}") from None


def _walk(config: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """The keys that lead to pydantic's `location` inside `config`, and the class that contains the last of them.

    Pydantic's location also contains the families of the configurations on the way, which are no keys.
    """
    keys: list[str] = []
    parent, current = config, cast(Any, config)
    for part in location:
        members = {
            get_args(member.model_fields[FAMILY].annotation)[0]: member
            for member in get_args(current)
            if _has_family(member)
        }
        if part == "[key]":
            continue
        if part in members:
            current = members[part]
            continue
        keys.append(str(part))
        if isinstance(current, type) and issubclass(current, BaseModel):
            parent, field = current, current.model_fields.get(str(part))
            current = field.annotation if field else None
        else:
            current = next((inner for inner in reversed(get_args(current)) if inner is not Ellipsis), None)
    return keys, parent


def _has_family(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, BaseModel) and FAMILY in member.model_fields


def _nearest(name: str, known: list[str]) -> str:
    """The end of an error message: the nearest valid name, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}" if known else ""


def lookup(entries: Mapping[str, Value], name: str, kind: str, file: Path, where: str = "") -> Value:
    """The entry `name`. Raises UserError in one line: file, place `where`, and the nearest valid name."""
    if name in entries:
        return entries[name]
    raise UserError(f"{file}: {where}no {kind} {name!r}{_nearest(name, list(entries))}")
