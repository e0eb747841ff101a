"""Removes the lock that a killed Snakemake has left, so that the same command goes on.

Snakemake locks the files that it works on by marks in .snakemake/locks, which name no process: after kill -9 or a power
failure they stay for ever. Beside them, each Snakemake of this project holds a lock that ends with its process.
"""

import fcntl
import shutil
import socket
from pathlib import Path
from typing import TextIO

from transgan.pipeline.snakemake_internals import LOCKS

RUNNING = Path(".snakemake/transgan-running")  # held as long as a Snakemake runs; contains the names of its hosts

_held: list[TextIO] = []  # until the process ends


def remove_stale_lock() -> bool:
    """Hold the lock of running Snakemakes; returns whether marks of one that has ended were found and removed.

    They are removed only if no other Snakemake runs, and if all that ran before were of this host: flock may not see
    those of other hosts. To be called once by Snakemake's main process, in the project's root.
    """
    host = socket.gethostname()
    try:
        RUNNING.parent.mkdir(exist_ok=True)
        file = RUNNING.open("a+")
        _held.append(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        file.seek(0)
        hosts = set(file.read().split())
        stale = alone and hosts == {host} and any(LOCKS.glob("*.lock"))
        if stale:
            shutil.rmtree(LOCKS)
        if alone and not any(LOCKS.glob("*.lock")):
            file.truncate(0)
            hosts = set()
        if host not in hosts:
            file.write(f"{host}\n")
            file.flush()
        fcntl.flock(file, fcntl.LOCK_SH)
    except OSError:  # no flock, or a folder that cannot be written: Snakemake's own message says how to unlock
        return False
    return stale
