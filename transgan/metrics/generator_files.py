"""Opens a generator by the name of its run or by its file."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from transgan.config.plan import Plan
from transgan.errors import UserError
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
        return load_trained(plan, target)
    return load(path) if path.suffix in SUFFIXES else None


def load_trained(plan: Plan, run: str) -> "GeneratorNetwork":
    """The generator of a run. Raises UserError, which names the command to type, when it is missing or damaged."""
    path = plan.paths.run(run) / "generator.safetensors"
    if path.exists():
        check_trained(plan, run, path)
    try:
        return load(path)
    except UserError as error:
        raise UserError(f"{error}; run `{plan.command('train', run)}`") from error


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
