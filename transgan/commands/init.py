"""`transgan init`: lays out a project in a folder, for Snakemake and DVC to run.

The files are those that come with this package; README.md alone is written for such a project. They appear together: a
new folder is renamed into place, and what was moved into an existing one is moved out again after a failure.
"""

import os
import shlex
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from transgan.config import project_files
from transgan.errors import UserError
from transgan.utils.console import say
from transgan.utils.extras import EXTRAS, to_install
from transgan.utils.git import git

README = "README.md"
DVC_CONFIG = Path(".dvc/config")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or one without such files.")],
    with_git: Annotated[
        bool, typer.Option("--git/--no-git", help="Make it a git repository, unless it is in one: DVC uses git.")
    ] = True,
) -> None:
    """Lay out a project: params.yaml, and the workflows for Snakemake and DVC."""
    repository = lay_out(folder, with_git)
    note = "" if repository else " (without git: DVC has no experiments, and results name no commit)"
    missing = [name for names in EXTRAS.values() for name in names if find_spec(name) is None]
    say(f"{folder}: params.yaml, workflow/ for Snakemake and dvc.yaml for DVC{note}. Next:")
    if missing:
        say(f"  {to_install('pipeline')}  # lacking: {', '.join(missing)}")
    if folder.resolve() != Path.cwd():
        say(f"  cd {shlex.quote(str(folder))}")
    say("  snakemake --cores all reproduce_tables  # or `dvc repro`: every table at demo scale, on a CPU, in minutes")
    say(f"{README} there says more.")


def lay_out(folder: Path, with_git: bool) -> bool:
    """Write the files of a project to `folder`; returns whether it is in a git repository.

    `with_git`: make it one if it is in none and git is installed. Raises UserError if something of the same name is
    there, or if the folder cannot be written. Then nothing has changed.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file; name a folder")
    names = list(project_files.names())
    existing = [name for name in sorted({name.parts[0] for name in names} | {README}) if os.path.lexists(folder / name)]
    if existing:
        raise UserError(f"{folder}: contains {', '.join(existing)}; name a new folder, or move these away")
    beside = folder if folder.is_dir() else folder.absolute().parent
    try:
        beside.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".transgan-init-", dir=beside) as temporary:
            project = Path(temporary) / "project"
            _write(project, names)
            repository = _repository(project, beside, with_git)
            if folder.is_dir():
                _move_into(folder, project)
            else:
                project.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error}); name another folder") from error
    return repository


def _write(project: Path, names: list[Path]) -> None:
    for name in names:
        target = project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project_files.shipped(name), target)
    shutil.copyfile(Path(__file__).with_name("project_readme.md"), project / README)


def _repository(project: Path, beside: Path, with_git: bool) -> bool:
    """Whether the project is in a git repository, which is created with `with_git`. DVC is told if it is in none."""
    if git(beside, "rev-parse", "--is-inside-work-tree").output == "true":
        return True
    if with_git and git(project, "init", "--quiet").output is not None:
        return True
    config = project / DVC_CONFIG
    config.write_text(config.read_text().replace("[core]\n", "[core]\n    no_scm = true\n"))
    return False


def _move_into(folder: Path, project: Path) -> None:
    """Move everything in `project` into `folder`, or nothing."""
    moved: list[Path] = []
    try:
        for path in sorted(project.iterdir()):
            moved.append(path.rename(folder / path.name))
    except BaseException:
        for path in moved:
            path.rename(project / path.name)
        raise
