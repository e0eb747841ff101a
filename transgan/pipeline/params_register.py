"""Which params files use a store of finished work: a text file beside the store, an absolute path on each line.

Several params files, of one project or of several that share `data/`, use the same packs and state folders. `transgan
clean` asks all of them. A user deletes the line of a file that is no longer of interest.
"""

import logging
from pathlib import Path

from transgan.errors import UserError
from transgan.pipeline import dvc_copies
from transgan.utils import files, locks

logger = logging.getLogger(__name__)

NAME = "params-files.txt"


def register(params: Path, store: Path) -> None:
    """Add a params file to the register of `store`. A failure gives a warning: it must not stop the work.

    Not the file of a copy, which DVC deletes: the work of an experiment is that of an edit which was reverted.
    """
    if dvc_copies.original(params.absolute()):
        return
    line = str(params.absolute())
    try:
        if line in registered(store):
            return
        with locks.lock(store / f".{NAME}.lock", f"registering {params}", wait=True):
            files.write_text(store / NAME, "".join(f"{known}\n" for known in [*registered(store), line]))
    except (UserError, OSError) as error:
        logger.warning(f"{error}; until then, `transgan clean` with another params file may remove what {params} uses")


def registered(store: Path) -> list[str]:
    """The params files of a store's register, absolute paths. Raises UserError if it cannot be read."""
    path = store / NAME
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); remove it or fix its permissions"
        ) from None
    return [line for line in lines if line.strip()]
