"""Loads the plan for a verb of the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transgan.config.plan import Plan


def load_plan(params: Path | None, scale: str | None, anywhere: bool = False) -> "Plan":
    """The plan. A verb calls this before it imports a stage: libraries read their settings when they are loaded.

    `anywhere`: the verb needs no project, so the params file that comes with this package will do.
    """
    from transgan.config import params_file, plan
    from transgan.hardware.instruction_set import limit_to_avx2
    from transgan.pipeline import dvc_copies

    dvc_copies.share_state()
    loaded = plan.load(params or (None if anywhere else params_file.PARAMS_FILE), scale)
    if loaded.scale.same_bytes:
        limit_to_avx2()
    return loaded
