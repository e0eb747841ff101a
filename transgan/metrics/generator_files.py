"""Opens a generator by the name of its run, by its file, or by the folder of a shared one."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.run_files import check_trained

if TYPE_CHECKING:
    from transgan.models.base import GeneratorNetwork
    from transgan.models.serialization import Saved

logger = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pth", ".pt")  # saved by this project, and two of the authors' checkpoints
SHARED = "model.safetensors"  # the weights in a folder that `transgan export` or `save_pretrained` has written


def is_generator_file(plan: Plan, target: str) -> bool:
    """Whether `target` is the name of a generator file and not of a run."""
    return target not in plan.runs and (target.endswith(SUFFIXES) or is_shared(Path(target)))


def is_shared(path: Path) -> bool:
    """Whether `path` is a folder with a shared generator."""
    return (path / SHARED).is_file()


def open_generator(plan: Plan, target: str) -> "GeneratorNetwork | None":
    """The generator of a run of the plan, or in a generator file; None if `target` names neither. See `load`."""
    path = Path(target)
    if target in plan.runs and not path.exists():
        return load_trained(plan, target)
    return load(path) if path.suffix in SUFFIXES or is_shared(path) else None


def load_trained(plan: Plan, run: str) -> "GeneratorNetwork":
    """The generator of a run. Raises UserError, which names the command to type, when it is missing or damaged."""
    return read_trained(plan, run).module


def read_trained(plan: Plan, run: str) -> "Saved":
    """The generator of a run with its configuration and metadata. Raises UserError as `load_trained` does."""
    path, command = plan.paths.run(run) / "generator.safetensors", plan.command("train", run)
    if not path.exists():
        first = "in a project's folder (`transgan init DIR` lays one out) " if plan.outside_a_project else ""
        raise UserError(f"{path}: not there; {first}run `{command}`")
    check_trained(plan, run, path)
    try:
        return read(path)
    except UserError as error:
        raise UserError(f"{error}; run `{command}`") from error


def load(path: Path) -> "GeneratorNetwork":
    """The generator in a file or a folder, in evaluation mode on the CPU. See `read`."""
    return read(path).module


def read(path: Path) -> "Saved":
    """The generator in a .safetensors of this project, in a .pth of the authors, or in the folder of a shared one.

    It is in evaluation mode on the CPU, with its configuration and metadata. Its `caution` is logged. Raises UserError
    when the file is missing or damaged.
    """
    # Imported here because the stage `score` imports this module, but needs no torch when its scores are finished.
    from transgan.models.official_checkpoints import import_official
    from transgan.models.serialization import load_generator

    if is_shared(path):
        path = path / SHARED
    if path.suffix == ".safetensors":
        saved = load_generator(path)
        if saved.module.caution:
            logger.warning(f"{path}: {saved.module.caution}")
        return saved
    with tempfile.TemporaryDirectory() as folder:
        return load_generator(import_official(path, Path(folder) / "generator.safetensors"))
