"""`transgan references`: lists, removes or exports the stored reference statistics. It also lists published ones."""

from pathlib import Path

from transgan.config.plan import Plan
from transgan.metrics import published_statistics
from transgan.metrics.reference_statistics import export_statistics
from transgan.pipeline.freshness import check_carrier
from transgan.scoring import reference
from transgan.utils.console import say


def show(plan: Plan) -> None:
    """Print a line for each stored reference: size, whether the plan uses it, name and folder."""
    for stored in reference.stored_references(plan):
        use = "in use" if stored.current else "unused"
        say(f"{stored.size / 2**20:10.1f} MiB  {use}  {stored.name}  {stored.folder}")
    for name, protocol in plan.protocols.items():
        for dataset, file in protocol.statistics.files.items() if protocol.statistics else ():
            path = plan.paths.published_statistics(file)
            if path.exists():
                size = path.stat().st_size / 2**20
                say(f"{size:10.1f} MiB  published  {dataset}-{name}  {path}")
            else:
                say(
                    f"{'missing':>14}  published  {dataset}-{name}  {published_statistics.how_to_get(plan, name, file)}"
                )


def remove(plan: Plan, name: str) -> None:
    """Remove the stored statistics of a reference."""
    say(f"{reference.remove(plan, name) / 2**20:.1f} MiB removed")


def export(plan: Plan, name: str, file: Path) -> None:
    """Write mu and sigma of a reference to an npz file."""
    key = plan.reference(name)
    check_carrier(plan, "reference", key, plan.paths.reference(key))
    export_statistics(plan.paths.reference(key), file)
    say(f"{file}: mu and sigma of {name}")
