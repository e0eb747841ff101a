"""LMDB databases from outside: opened for reading, and checked in a process of its own.

LMDB trusts the pointers between its pages. In a damaged file they lead outside, which ends the process that follows
them with SIGBUS or SIGSEGV. That process imports little, so that it starts quickly.
"""

import multiprocessing
import resource
import signal
import sys
import zlib
from pathlib import Path

import lmdb


def open_database(folder: Path) -> lmdb.Environment:
    """Open the database in a folder. Raises lmdb.Error."""
    return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, max_readers=1)


def problem_of(folder: Path) -> str | None:
    """Let a child process read the whole database, and return what is wrong with it, or None."""
    child = multiprocessing.get_context("spawn").Process(target=_read_everything, args=(folder,), daemon=True)
    child.start()
    try:
        child.join()
    finally:
        child.kill()
    if not child.exitcode:
        return None
    if child.exitcode < 0:
        return f"a process that read it ended with {signal.Signals(-child.exitcode).name}"
    return "its pages do not fit together"


def _read_everything(folder: Path) -> None:
    """Touch every page that reading needs. Exits with 1 for a database that contradicts itself."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open_database(folder) as database, database.begin(buffers=True) as transaction:
            left = database.stat()["entries"]
            for _, value in transaction.cursor():
                zlib.crc32(value)
                left -= 1
                if left < 0:  # pages that lead back to others
                    sys.exit(1)
    except lmdb.Error:
        sys.exit(1)
