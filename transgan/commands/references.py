"""`transgan references`: lists, removes or exports the stored reference statistics. It also lists published ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan
from transgan.metrics import published_statistics
from transgan.metrics.reference_statistics import export_statistics
from transgan.pipeline.freshness import check_carrier
from transgan.scoring import reference
from transgan.utils.console import say, say_json


def show(plan: Plan, as_json: bool = False) -> None:
    """Print a line for each stored reference: size, whether the plan uses it, name and folder.

    As JSON: {references: [{name, use, bytes, path, next}]}; `use` is in use, unused or published, `bytes` is null and
    `next` says how to get it where a published one is not here.
    """
    rows = [*_stored(plan), *_published(plan)]
    if as_json:
        say_json({"references": rows})
        return
    for row in rows:
        size = "missing" if row["bytes"] is None else f"{row['bytes'] / 2**20:.1f} MiB"
        say(f"{size:>14}  {row['use']}  {row['name']}  {row['next'] or row['path']}")


def _stored(plan: Plan) -> Iterator[dict[str, Any]]:
    for stored in reference.stored_references(plan):
        use = "in use" if stored.current else "unused"
        yield {"name": stored.name, "use": use, "bytes": stored.size, "path": str(stored.folder), "next": ""}


def _published(plan: Plan) -> Iterator[dict[str, Any]]:
    for name, protocol in plan.protocols.items():
        for dataset, file in protocol.statistics.files.items() if protocol.statistics else ():
            path = plan.paths.published_statistics(file)
            yield {
                "name": f"{dataset}-{name}",
                "use": "published",
                "bytes": path.stat().st_size if path.exists() else None,
                "path": str(path),
                "next": "" if path.exists() else published_statistics.how_to_get(plan, name, file),
            }


def remove(plan: Plan, name: str) -> None:
    """Remove the stored statistics of a reference."""
    say(f"{reference.remove(plan, name) / 2**20:.1f} MiB removed")


def export(plan: Plan, name: str, file: Path) -> None:
    """Write mu and sigma of a reference to an npz file."""
    key = plan.reference(name)
    check_carrier(plan, "reference", key, plan.paths.reference(key))
    export_statistics(plan.paths.reference(key), file)
    say(f"{file}: mu and sigma of {name}")
