"""Runs of params.yaml whose steps a session measures: of the scale `paper`, in a dry run of the demo."""

from pathlib import Path

from transgan.config import plan as plans
from transgan.config.plan import Run

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def named_run(name: str, dry_run: bool) -> Run:
    """A run at the paper's scale; in a dry run at the demo's, whose networks are small."""
    return plans.load(PARAMS, "demo" if dry_run else "paper").run(name)
