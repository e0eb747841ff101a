"""Reports a mistake in a params file in one line: the file, the key, what is wrong, and the nearest valid name."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from transgan.errors import UserError
from transgan.schema.base import Strict

# The key that selects one of several configuration classes.
FAMILY = "family"

# A number that YAML 1.1 reads as text, because it has no point or no sign.
_EXPONENT = re.compile(r"\s*([+-]?\d+)\.?(\d*)[eE]([+-]?\d+)\s*")

_FEW = 12  # names that an error message may list

# The verb that lists the names of a kind.
_LISTED_BY = {"run": "transgan plan", "table": "transgan plan", "dataset": "transgan data"}

Config = TypeVar("Config", bound=Strict)
Value = TypeVar("Value")


def validated(config: type[Config], content: Any, file: Path, where: str) -> Config:
    """`content` as an instance of `config`. `where` is the place of `content` in the file.

    Raises UserError in one line: file, place, key, what is wrong, and the nearest valid name.
    """
    try:
        model = config.model_validate(content)
        _check_kinds(content, model, file, where)
        return model
    except ValidationError as error:
        errors = error.errors()
        # A misspelt required key gives two errors. The one about the missing key comes first, but the other is clearer.
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        keys, parent = _walk(config, first["loc"])
        key = ".".join(keys)
        message = first["msg"].removeprefix("Value error, ")
        number = _number_in(first["input"]) if first["type"] in ("int_parsing", "float_parsing") else None
        if first["type"] == "extra_forbidden":
            message = f"unknown key{nearest(keys[-1], list(parent.model_fields))}"
        elif number is not None:
            message = f"{shortened(repr(first['input']))} is text; write {number}"
        elif not isinstance(first["input"], dict | list):
            message += f" (is {shortened(repr(first['input']))})"
        raise UserError(f"{file}: {_place(where, key)}: {message}") from None


def _check_kinds(written: Any, read: Any, file: Path, where: str, keys: tuple[str, ...] = ()) -> None:
    """Raise where pydantic has turned one kind of value into another: text into a number, a truth value into a number.

    JSON schema, by which Snakemake judges the same file, does not.
    """
    if isinstance(written, Mapping):
        for key, value in written.items():
            inner = getattr(read, key, None) if isinstance(read, BaseModel) else read[key]
            _check_kinds(value, inner, file, where, (*keys, key))
    elif isinstance(written, list | tuple):
        for index, (value, inner) in enumerate(zip(written, read, strict=True)):
            _check_kinds(value, inner, file, where, (*keys, str(index)))
    elif _kind(written) != _kind(read):
        place = _place(where, ".".join(keys))
        raise UserError(
            f"{file}: {place}: {shortened(repr(written))} is {_kind(written)}; write {_as_written(written, read)}"
        )


def _place(where: str, key: str) -> str:
    return f"{where}: {key}" if where and key else where or key


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    return "a number" if isinstance(value, int | float) else "text" if isinstance(value, str) else type(value).__name__


def _as_written(written: Any, read: Any) -> str:
    """`read` in the notation of `written`, as YAML of every version reads it: false, 3, 0.5, 1.0e-4."""
    if isinstance(read, bool):
        return str(read).lower()
    exponent = _EXPONENT.fullmatch(written) if isinstance(written, str) else None
    return f"{exponent[1]}.{exponent[2] or 0}e{int(exponent[3]):+d}" if exponent else str(read)


def _number_in(text: object) -> str | None:
    """The number that `text` means (2e6, 0o17, 1,000), as YAML of every version reads it; None if it is no number."""
    if not isinstance(text, str):
        return None
    if _EXPONENT.fullmatch(text):
        return _as_written(text, float(text))
    try:
        return str(int(text.replace(",", ""), 0))
    except ValueError:
        return None


def shortened(text: str) -> str:
    """`text` in at most 80 characters."""
    return text if len(text) <= 80 else f"{text[:77]}..."


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


def nearest(name: str, known: Sequence[str]) -> str:
    """The end of an error message: the nearest valid name, or all of them, or three of many."""
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    if len(known) > _FEW:
        return f"; the nearest of {len(known)}: {', '.join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))}"
    return f"; known: {', '.join(known)}" if known else ""


def lookup(entries: Mapping[str, Value], name: str, kind: str, file: Path, where: str = "") -> Value:
    """The entry `name`. Raises UserError in one line: file, place `where`, and the nearest valid name."""
    if name in entries:
        return entries[name]
    ending = nearest(name, list(entries))
    if kind in _LISTED_BY and len(entries) > _FEW:
        ending += f"{'' if ending.endswith('?') else ';'} `{_LISTED_BY[kind]}` lists all"
    raise UserError(f"{file}: {where}no {kind} {name!r}{ending}")
