"""`transgan data`: the state of every dataset, and the next step. It reads records only and computes no digest."""

from pathlib import Path
from typing import Any

from rich.table import Table

from transgan.config.paths import IMAGES, MANIFEST, SOURCE
from transgan.config.plan import Plan
from transgan.data.packing import PROGRESS
from transgan.data.sources.catalog import ARCHIVES, CATALOG, INCOMING, locate
from transgan.data.sources.local_files import manual_download_message
from transgan.errors import UserError
from transgan.schema import DatasetConfig
from transgan.utils import files
from transgan.utils.console import say_json, table_console

OWN_TERMS = {
    "digits": "CC BY 4.0 (UCI, Alpaydin and Kaynak 1998); comes with scikit-learn",
    "folder": "your own images; keep a note of their terms",
}


def status(plan: Plan) -> list[dict[str, Any]]:
    """One row per dataset of the plan's scale.

    Keys: dataset, source, state, bytes (archives and pack on disk), count (images; None before packing), digest (12
    digits, of the pack, else of the source; None before fetching), licence, next (the next command or action; empty
    if nothing is left to do).
    """
    return [_row(plan, dataset) for dataset in plan.datasets]


def terms(source: str) -> str:
    """The terms of a dataset's source, in words."""
    return CATALOG[source].licence if source in CATALOG else OWN_TERMS[source]


def show(plan: Plan, as_json: bool = False) -> None:
    """Print `status` as a table, or as JSON: an object whose `datasets` is a list."""
    rows = status(plan)
    if as_json:
        say_json({"datasets": rows})
        return
    table = Table(
        "dataset",
        "source",
        "state",
        "on disk",
        "images",
        "digest",
        title=f"datasets at scale {plan.scale_name}",
        title_justify="left",
    )
    for row in rows:
        count = f"{row['count']:,}" if row["count"] else ""
        table.add_row(
            row["dataset"], row["source"], row["state"], f"{row['bytes'] / 1e6:,.1f} MB", count, row["digest"] or ""
        )
    console = table_console()
    console.print(table)
    for licence in dict.fromkeys(row["licence"] for row in rows):
        of_it = ", ".join(row["dataset"] for row in rows if row["licence"] == licence)
        console.print(f"{of_it}: {licence}")
    for row in rows:
        if row["next"]:
            console.print(f"next for {row['dataset']}: {row['next']}", soft_wrap=True)


def _row(plan: Plan, dataset: str) -> dict[str, Any]:
    config = plan.dataset(dataset)
    folder = plan.paths.data(dataset)
    store = plan.paths.workspace("prepare", dataset, plan.fingerprint("prepare", dataset))
    manifest, source = _read(folder / MANIFEST), _read(folder / SOURCE)
    packed = manifest.get("fingerprint") == plan.fingerprint("prepare", dataset) and (folder / IMAGES).exists()
    if packed and manifest.get("source") == source.get("digest"):
        state, action = "packed", ""
    elif packed or (manifest.get("fingerprint") and source):
        state, action = "packed from other data or settings", plan.command("prepare", dataset)
    elif (store / PROGRESS).exists():
        progress = _read(store / PROGRESS)
        done, entries = (count if isinstance(count := progress.get(key), int) else 0 for key in ("done", "entries"))
        state, action = f"packing, {done / max(entries, 1):.0%} done", plan.command("prepare", dataset)
    elif source and not _missing(config):
        state, action = "fetched", plan.command("prepare", dataset)
    else:
        state, action = _before_fetch(config, plan.command("fetch", dataset))
    digest = manifest.get("sha256") if packed else source.get("digest")
    return {
        "dataset": dataset,
        "source": config.path or config.source,
        "state": state,
        "bytes": _bytes(ARCHIVES / config.source)
        + sum(_bytes(path) for path in _placed_by_hand(config.source))
        + _bytes(store),
        "count": manifest.get("count") if packed else None,
        "digest": str(digest)[:12] if digest else None,
        "licence": terms(config.source),
        "next": action,
    }


def _before_fetch(config: DatasetConfig, fetch: str) -> tuple[str, str]:
    source = config.source
    if source == "folder" and not Path(str(config.path)).exists():
        return "missing", f"put your images at {config.path}, then {fetch}"
    if source not in CATALOG or not _missing(config):
        return "present, not verified", fetch
    parts = list((ARCHIVES / source).glob(".*.part"))
    if parts:
        size = sum(file.size for file in CATALOG[source].files_for(config.crop))
        return f"downloading, about {min(_bytes(ARCHIVES / source) / size, 0.99):.0%} done", fetch
    if CATALOG[source].requires_agreement:
        missing = [f"{name} (" for name in _missing(config)]
        return "manual download needed", manual_download_message(CATALOG[source], missing, f"run `{fetch}`")
    return "missing", fetch


def _missing(config: DatasetConfig) -> list[str]:
    """Names of the dataset's files that are not on this machine."""
    if config.source == "folder":
        return [] if Path(str(config.path)).exists() else [str(config.path)]
    if config.source not in CATALOG:
        return []
    present = locate(config.source)
    return [file.name for file in CATALOG[config.source].files_for(config.crop) if file.name not in present]


def _placed_by_hand(source: str) -> list[Path]:
    return [path for path in locate(source).values() if INCOMING in path.parents] if source in CATALOG else []


def _bytes(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else 0


def _read(path: Path) -> dict[str, Any]:
    try:
        content = files.read_json(path) if path.exists() else {}
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}
