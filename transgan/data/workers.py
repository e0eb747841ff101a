"""The workers of packing: threads, or processes where there is much to do, that shape pictures and write them to their rows.

Pillow lets threads decode side by side, but what Python does around it they must do in turn: a tenth of a millisecond a picture, a quarter of
their time with small ones. Processes have no such turns, but take half a second to start.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transgan.data import transforms
from transgan.data.archives.byte_ranges import ByteRange, ByteRangeReader, Content
from transgan.data.transforms import Box, CropAndResize, ImageError
from transgan.errors import UserError
from transgan.hardware.malloc import keep_freed_memory
from transgan.schema.data import MOST_WORKERS, PROCESSES_FROM

KEPT_BYTES = 16 * 2**20  # a picture of 2,300 pixels square, decoded

Item = tuple[int, Box | None, Content]  # row, crop, picture


@dataclass(frozen=True)
class Rows:
    """A file of packed pictures: where it is, the bytes of its header and of each row."""

    path: Path
    header_bytes: int
    row_bytes: int

    def offset(self, row: int) -> int:
        """Where `row` begins."""
        return self.header_bytes + row * self.row_bytes


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """A pool to pack `count` pictures in. UserError when the system kills one of its processes, as it does when memory is short."""
    size = worker_count()
    if count < PROCESSES_FROM:
        with ThreadPoolExecutor(size) as threads:
            yield threads
        return
    context = multiprocessing.get_context("spawn")  # forked ones would hold the files and locks of this process
    try:
        with ProcessPoolExecutor(size, context, _begin, (context.Lock(),)) as processes:
            yield processes
    except BrokenProcessPool:
        raise UserError(
            "a process that packs pictures was killed, perhaps for want of memory; run the same command again to go on"
        ) from None


def worker_count() -> int:
    """How many workers a pool has: one for each core that this process may use, up to MOST_WORKERS."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def _begin(large: AbstractContextManager[Any]) -> None:
    """What a worker process does first.

    Ctrl-C is its parent's affair, the memory of a picture is kept for the next one, large pictures take turns, and it does not outlive its
    parent.
    """
    keep_freed_memory(KEPT_BYTES)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    transforms.take_turns(large)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def pack_batch(transform: CropAndResize, rows: Rows, batch: Sequence[Item]) -> dict[int, str]:
    """Shape the pictures of a batch and write them to their rows, neighbouring rows at once.

    Returns why a picture cannot be read: {its position in the batch: reason}. Raises OSError when the file cannot be written, UserError when
    the archive that a picture lies in is damaged.
    """
    bad: dict[int, str] = {}
    run, run_start = list[memoryview](), 0
    with ByteRangeReader() as pieces, rows.path.open("rb+", buffering=0) as file:
        for position, (row, box, content) in enumerate(batch):
            try:
                pixels = np.ascontiguousarray(
                    transform(pieces.read(content) if isinstance(content, ByteRange) else content, box)
                ).data
            except ImageError as error:
                bad[position] = str(error)
                continue
            if run and row != run_start + len(run):
                write_at(file.fileno(), run, rows.offset(run_start))
                run = []
            if not run:
                run_start = row
            run.append(pixels)
        if run:
            write_at(file.fileno(), run, rows.offset(run_start))
    return bad


def write_at(descriptor: int, pieces: Sequence[memoryview], offset: int) -> None:
    """Write all pieces one after the other at `offset`, also where the system takes them only in part."""
    written, total = os.pwritev(descriptor, pieces, offset), sum(piece.nbytes for piece in pieces)
    if written == total:
        return
    rest = memoryview(b"".join(piece.cast("B") for piece in pieces))[written:]
    while rest:
        step = os.pwrite(descriptor, rest, offset + total - len(rest))
        rest = rest[step:]
