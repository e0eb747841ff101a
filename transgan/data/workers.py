"""The workers of packing: a pool that crops and resizes images and writes them to their rows of images.npy.

Small datasets use threads. Pillow decodes in parallel, but Python's own work around it holds the interpreter lock: a
tenth of a millisecond an image, a quarter of the time that small images take. Large datasets use processes, which
share no lock but take half a second to start.
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
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np

from transgan.data import transforms
from transgan.data.archives.byte_ranges import ByteRange, ByteRangeReader, Content
from transgan.data.transforms import Box, CropAndResize, ImageError
from transgan.errors import UserError
from transgan.hardware.malloc import keep_freed_memory
from transgan.schema.data import MOST_WORKERS, PROCESSES_FROM

KEPT_BYTES = 16 * 2**20  # freed memory that a worker keeps: a decoded image of 2,300 pixels square

Item = tuple[int, Box | None, Content]  # row, crop, image


@dataclass(frozen=True)
class RowFile:
    """The layout of a file of packed images: its path, and the bytes of its header and of each row."""

    path: Path
    header_bytes: int
    row_bytes: int

    def offset(self, row: int) -> int:
        """Return the byte at which `row` starts."""
        return self.header_bytes + row * self.row_bytes


class _SpawnProcess(SpawnProcess):
    """A process that starts with SIGINT blocked, so that Ctrl-C during its start prints no traceback."""

    def start(self) -> None:
        """Start the process; it inherits the signal mask of this thread."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _SpawnContext(SpawnContext):
    """Starts fresh processes: forked ones would hold this one's files and locks."""

    Process = _SpawnProcess


@contextmanager
def worker_pool(image_count: int) -> Iterator[Executor]:
    """Open a pool to pack `image_count` images: threads below PROCESSES_FROM images, processes from there on.

    Raises UserError when the system kills a worker process, as it does when memory is short.
    """
    size = worker_count()
    if image_count < PROCESSES_FROM:
        with ThreadPoolExecutor(size) as threads:
            yield threads
        return
    context = _SpawnContext()
    try:
        with ProcessPoolExecutor(size, context, _initialize_process, (context.Lock(),)) as processes:
            yield processes
    except BrokenProcessPool:
        raise UserError(
            "a process that packs images was killed, perhaps because memory ran out;"
            " run the same command again to resume"
        ) from None


def worker_count() -> int:
    """Return the number of workers in a pool: one for each core that this process may use, up to MOST_WORKERS."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def _initialize_process(large_image_lock: AbstractContextManager[Any]) -> None:
    """Prepare a worker process.

    It keeps freed memory, ignores SIGINT (its parent handles Ctrl-C), decodes large images one at a time, and exits
    when its parent ends.
    """
    keep_freed_memory(KEPT_BYTES)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # blocked since the start, see _SpawnProcess
    transforms.set_large_image_lock(large_image_lock)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def pack_batch(transform: CropAndResize, row_file: RowFile, batch: Sequence[Item]) -> dict[int, str]:
    """Crop and resize the images of a batch and write each to its row. Consecutive rows are written together.

    Returns {position in the batch: reason} for images that cannot be read. Raises OSError when the file cannot be
    written, and UserError when the archive that holds an image is damaged.
    """
    unreadable: dict[int, str] = {}
    buffers, first_row = list[memoryview](), 0
    with ByteRangeReader() as ranges, row_file.path.open("rb+", buffering=0) as file:
        for position, (row, box, content) in enumerate(batch):
            try:
                image = transform(ranges.read(content) if isinstance(content, ByteRange) else content, box)
            except ImageError as error:
                unreadable[position] = str(error)
                continue
            if buffers and row != first_row + len(buffers):
                write_at(file.fileno(), buffers, row_file.offset(first_row))
                buffers = []
            if not buffers:
                first_row = row
            buffers.append(np.ascontiguousarray(image).data)
        if buffers:
            write_at(file.fileno(), buffers, row_file.offset(first_row))
    return unreadable


def write_at(descriptor: int, buffers: Sequence[memoryview], offset: int) -> None:
    """Write all buffers one after another at `offset`. Repeats the call when the system writes only part of them."""
    written, total = os.pwritev(descriptor, buffers, offset), sum(buffer.nbytes for buffer in buffers)
    if written == total:
        return
    rest = memoryview(b"".join(buffer.cast("B") for buffer in buffers))[written:]
    while rest:
        step = os.pwrite(descriptor, rest, offset + total - len(rest))
        rest = rest[step:]
