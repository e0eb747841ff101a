"""Shell completion of names in the params file: runs, tables, datasets and others.

A shell calls these functions at every press of Tab. They read the file's keys only, without checking it, and complete
nothing where it cannot be read.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer


def names(*kinds: str) -> Callable[[typer.Context, str], list[str]]:
    """A completion for typer: the keys of `kinds`, such as `runs`, that begin with what was typed."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        content = _content(ctx)
        found = [name for kind in kinds if isinstance(content.get(kind), dict) for name in content[kind]]
        return sorted(name for name in map(str, found) if name.startswith(incomplete))

    return complete


def _content(ctx: typer.Context) -> dict[str, Any]:
    from transgan.config import params_file
    from transgan.errors import UserError

    try:
        return params_file.read(Path(ctx.params.get("params") or params_file.default_file()))
    except UserError:
        return {}
