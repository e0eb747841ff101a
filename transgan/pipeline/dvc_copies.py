"""The copies of a project in which DVC runs experiments (`dvc exp run --temp`, and those of a queue), and then deletes.

Work in such a copy is stored in the project itself, so that an interrupted experiment resumes and a finished one is
found: the copy's folders of state are links to the project's.
"""

import logging
from pathlib import Path

logger = logging.getLogger(__name__)

_COPIES = (".dvc", "tmp", "exps")  # the folder of a project that contains its copies, at any depth

# Neither in git nor in DVC's cache, so DVC copies none of them.
SHARED = (Path("state"), Path("data/store"), Path("data/archives"), Path("data/incoming"))


def original(folder: Path) -> Path | None:
    """The root of the project that DVC copied `folder`, an absolute path, from; None if it is in no such copy."""
    for parent in folder.parents:
        if parent.parts[-len(_COPIES) :] == _COPIES:
            return parent.parents[len(_COPIES) - 1]
    return None


def share_state() -> None:
    """In a copy, link the folders of state to those of the project. Folders that are already there are left alone."""
    here = Path.cwd()
    project = original(here)
    if project is None:
        return
    for folder in SHARED:
        link, target = here / folder, project / folder
        if link.is_symlink() or link.exists():
            continue
        try:
            target.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target, target_is_directory=True)
        except OSError as error:  # the experiment runs all the same
            logger.warning(
                f"{link}: no link to {target} ({error.strerror}); DVC deletes what this experiment stores there"
            )
