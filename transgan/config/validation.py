"""Mistakes in a params file said in one line: the file, the key, what is wrong, and the nearest right name. Imports no torch."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from transgan.errors import UserError
from transgan.schema.base import Strict

# The key that tells configurations apart where one of several may stand.
FAMILY = "family"

Config = TypeVar("Config", bound=Strict)
Value = TypeVar("Value")


def validated(config: type[Config], content: Any, file: Path, where: str) -> Config:
    """`content` as a `config`. Raises UserError in one line: file, `where`, key, what is wrong, and the nearest right name."""
    try:
        return config.model_validate(content)
    except ValidationError as error:
        errors = error.errors()
        # A misspelt key is two mistakes, of which the missing one comes first and does not name what was written.
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        keys, holder = _walk(config, first["loc"])
        key = ".".join(keys)
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown key{_nearest(keys[-1], list(holder.model_fields))}"
        elif not isinstance(first["input"], dict | list):
            message += f" (is {first['input']!r})"
        place = f"{where}: {key}" if where and key else where or key
        raise UserError(f"{file}: {place}: {message}") from None


def _walk(config: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """The keys that lead to a place inside `config`, without the families that pydantic puts among them, and the class around it."""
    keys: list[str] = []
    holder, current = config, cast(Any, config)
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
            holder, current = (
                current,
                current.model_fields[str(part)].annotation if str(part) in current.model_fields else None,
            )
        else:
            current = next((inner for inner in reversed(get_args(current)) if inner is not Ellipsis), None)
    return keys, holder


def _has_family(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, BaseModel) and FAMILY in member.model_fields


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}" if known else ""


def lookup(entries: Mapping[str, Value], name: str, kind: str, file: Path, where: str = "") -> Value:
    """The entry `name`. Raises UserError in one line, naming the nearest one."""
    if name in entries:
        return entries[name]
    raise UserError(f"{file}: {where}no {kind} {name!r}{_nearest(name, list(entries))}")
