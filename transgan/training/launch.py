"""Starting a session in this process, or one per device."""

from pathlib import Path

from transgan.plan import Plan
from transgan.training.session import Session


def launch(plan: Plan, run_name: str, folder: Path) -> None:
    """Train `run_name` in `folder`."""
    Session(plan, run_name, folder).run()
