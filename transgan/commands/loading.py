"""Loads the plan for a verb of the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transgan.config.plan import Plan


def load_plan(params: Path | None, scale: str | None) -> "Plan":
    """The plan. A verb calls this before it imports a stage: libraries read their settings when they are loaded."""
    from transgan.config import plan
    from transgan.hardware.instruction_set import limit_to_avx2

    loaded = plan.load(params, scale)
    if loaded.scale.same_bytes:
        limit_to_avx2()
    return loaded
