"""Opens a generator by the name of its run or by its file."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from transgan.config.plan import Plan
from transgan.pipeline.run_files import check_trained

if TYPE_CHECKING:
    from transgan.models.base import GeneratorNetwork

logger = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pth", ".pt")  # saved by this project, and two of the authors' checkpoints


def is_generator_file(plan: Plan, target: str) -> bool:
    """Whether `target` is the name of a generator file and not of a run."""
    return target not in plan.runs and target.endswith(SUFFIXES)


def open_generator(plan: Plan, target: str) -> "GeneratorNetwork | None":
    """The generator of a run of the plan, or in a generator file; None if `target` names neither. See `load`."""
    path = Path(target)
    if target in plan.runs and not path.exists():
        generator = plan.paths.run(target) / "generator.safetensors"
        if generator.exists():
            check_trained(plan, target, generator)
        return load(generator)
    return load(path) if path.suffix in SUFFIXES else None


def load(path: Path) -> "GeneratorNetwork":
    """The generator in a .safetensors of this project or in a .pth of the authors, in evaluation mode on the CPU.

    Its `caution` is logged. Raises UserError when the file is missing or damaged.
    """
    # Imported here because the stage `score` imports this module, but needs no torch when its scores are finished.
    from transgan.models.official_checkpoints import import_official
    from transgan.models.serialization import load_generator

    if path.suffix == ".safetensors":
        generator = load_generator(path).module
        if generator.caution:
            logger.warning(f"{path}: {generator.caution}")
        return generator
    with tempfile.TemporaryDirectory() as folder:
        return load_generator(import_official(path, Path(folder) / "generator.safetensors")).module
