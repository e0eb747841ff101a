"""Packing: workers crop and resize a reader's images in parallel and write them to images.npy, with bounded memory.

Workers write each image to its row of images.partial. progress.json records how many of the reader's entries are
flushed to disk, so that an interrupted call resumes there. The file is renamed to images.npy when it is complete.
"""

import io
import logging
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Self

import numpy as np
from PIL import Image

from transgan.config.paths import CONTACT, IMAGES, LABELS
from transgan.data.readers import Entry, Reader
from transgan.data.transforms import CropAndResize
from transgan.data.workers import Item, RowFile, pack_batch, worker_count, worker_pool, write_at
from transgan.errors import UserError
from transgan.utils import files
from transgan.utils.console import progress
from transgan.utils.image_grid import GAP, make_grid, resize, save_png

logger = logging.getLogger(__name__)

PARTIAL, PROGRESS = "images.partial", "progress.json"
BATCH_IMAGES = 256
ENCODED_BATCH_BYTES = 8 * 2**20
DECODED_BATCH_BYTES = 2 * 2**20  # small enough that decoded images are still in the CPU cache when they are written
SAVE_EVERY_SECONDS = 5.0
COPY_BYTES = 32 * 2**20
# Hashed between two batches at most: a resumed call must first hash what earlier calls wrote.
DIGEST_BYTES = 64 * 2**20
CONTACT_SIDE = 8


@dataclass
class PackingJob:
    """The images to pack and the progress so far.

    The first `done` entries of the reader are packed. `unreadable` maps the names of images that cannot be read to
    the reason.
    """

    reader: Reader
    transform: CropAndResize
    splits: list[str]
    done: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = {name: rank for rank, name in enumerate(self.splits)}
        self.entries = self.reader.entries
        by_row = sorted(
            range(len(self.entries)), key=lambda index: (order[self.entries[index].split], self.entries[index].name)
        )
        self.by_row = by_row  # row -> entry
        self.row_of = np.empty(len(by_row), dtype=np.int64)  # entry -> row
        self.row_of[by_row] = np.arange(len(by_row))
        # The lowest row that is still unwritten, by number of entries done.
        self._first_missing = np.append(np.minimum.accumulate(self.row_of[::-1])[::-1], len(by_row))

    @property
    def row_bytes(self) -> int:
        """Bytes of one packed image."""
        return self.transform.resolution**2 * 3

    def header(self, count: int) -> bytes:
        """Return the .npy header of `count` packed images."""
        buffer = io.BytesIO()
        shape = (count, self.transform.resolution, self.transform.resolution, 3)
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return buffer.getvalue()

    def row_file(self, folder: Path) -> RowFile:
        """Return the layout of `folder`/images.partial, which has a row for every entry."""
        return RowFile(folder / PARTIAL, len(self.header(len(self.entries))), self.row_bytes)

    def record(self, count: int, unreadable: dict[int, str]) -> None:
        """Record that the next `count` entries are done, and which of them (position: reason) cannot be read."""
        self.unreadable.update(
            {self.entries[self.done + position].name: reason for position, reason in unreadable.items()}
        )
        self.done += count

    def state(self) -> dict[str, Any]:
        """Return the progress as progress.json stores it."""
        return {"done": self.done, "entries": len(self.entries), "bad": dict(self.unreadable)}

    def complete_rows(self) -> int:
        """Return how many rows from the first on are written without a gap. Entries may arrive in another order."""
        return int(self._first_missing[self.done])

    def readable_entries(self) -> list[tuple[int, Entry]]:
        """Return (row, entry) of every image that could be read, in the order of rows."""
        return [
            (row, self.entries[index])
            for row, index in enumerate(self.by_row)
            if self.entries[index].name not in self.unreadable
        ]


def pack_images(job: PackingJob, folder: Path, title: str) -> str:
    """Write every entry to its row of `folder`/images.partial, resuming an interrupted call; return the file's SHA-256.

    Fills `job.unreadable`. `title` starts progress and error messages. Raises UserError when the disk is full or the
    source is damaged; the progress until then is saved.
    """
    _restore(job, folder)
    row_file, count = job.row_file(folder), len(job.entries)
    _check_free_space(job, row_file, title)
    _write_header(job, row_file)
    digest = files.GrowingDigest(row_file.path)
    with (
        worker_pool(count - job.done) as pool,
        progress(title, count, "images", job.done) as bar,
        _ProgressSaver(job, folder) as saver,
    ):
        for done, unreadable in _results(job, row_file, pool):
            job.record(done, unreadable)
            bar.advance(done)
            digest.advance(row_file.offset(job.complete_rows()), DIGEST_BYTES)
            saver.save_if_due()
    digest.advance(row_file.offset(count))
    return digest.hexdigest()


def _check_free_space(job: PackingJob, row_file: RowFile, title: str) -> None:
    folder = row_file.path.parent
    written = row_file.path.stat().st_size if row_file.path.exists() else 0
    needed, free = len(job.entries) * row_file.row_bytes - written, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{title}: needs {needed / 1e6:,.1f} MB in {folder}, {free / 1e6:,.1f} MB are free;"
            " delete other files or link data/ elsewhere"
        )


def _write_header(job: PackingJob, row_file: RowFile) -> None:
    with files.user_error_on_write(row_file.path):
        descriptor = os.open(row_file.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            write_at(descriptor, [memoryview(job.header(len(job.entries)))], 0)
        finally:
            os.close(descriptor)


def _results(job: PackingJob, row_file: RowFile, pool: Executor) -> Iterator[tuple[int, dict[int, str]]]:
    """Keep the workers busy, and yield (number of images, unreadable ones) of each batch, in order."""
    waiting: deque[tuple[int, Future[dict[int, str]]]] = deque()

    def oldest() -> tuple[int, dict[int, str]]:
        count, future = waiting.popleft()
        with files.user_error_on_write(row_file.path):
            return count, future.result()

    try:
        for batch in _batches(job):
            waiting.append((len(batch), pool.submit(pack_batch, job.transform, row_file, batch)))
            if len(waiting) > 2 * worker_count():
                yield oldest()
        while waiting:
            yield oldest()
    finally:
        for _, future in waiting:
            future.cancel()


def _batches(job: PackingJob) -> Iterator[list[Item]]:
    """Yield the remaining entries in batches of bounded number, encoded bytes and decoded bytes."""
    most = min(BATCH_IMAGES, max(DECODED_BATCH_BYTES // job.row_bytes, 1))
    batch, size = list[Item](), 0
    for index, content in enumerate(job.reader.contents(job.done), job.done):
        batch.append((int(job.row_of[index]), job.entries[index].box, content))
        if isinstance(content, np.ndarray):
            size += content.nbytes
        elif isinstance(content, bytes):
            size += len(content)
        if len(batch) == most or size >= ENCODED_BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _ProgressSaver:
    """Flushes images.partial and writes progress.json, every few seconds and at the end.

    A thread does so, because a flush may take long.
    """

    def __init__(self, job: PackingJob, folder: Path) -> None:
        self._job, self._folder = job, folder
        self._thread = ThreadPoolExecutor(1)
        self._saving: Future[None] | None = None
        self._last = monotonic()

    def save_if_due(self) -> None:
        """Start to save if SAVE_EVERY_SECONDS have passed and no save is running.

        Raises UserError if the previous save failed.
        """
        if monotonic() - self._last < SAVE_EVERY_SECONDS or (self._saving and not self._saving.done()):
            return
        if self._saving:
            self._saving.result()
        self._saving = self._thread.submit(self._save, self._job.state())
        self._last = monotonic()

    def _save(self, state: dict[str, Any]) -> None:
        with files.user_error_on_write(self._folder / PARTIAL), (self._folder / PARTIAL).open("rb+") as partial:
            os.fsync(partial.fileno())
        files.write_json(self._folder / PROGRESS, state)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self._save(self._job.state())


def _restore(job: PackingJob, folder: Path) -> None:
    """Restore the progress of an interrupted call. Deletes images.partial when the progress does not fit it."""
    try:
        state = files.read_json(folder / PROGRESS)
        fits = (
            state["entries"] == len(job.entries)
            and (folder / PARTIAL).exists()
            and 0 < state["done"] <= len(job.entries)
        )
    except (UserError, KeyError, TypeError, OSError, ValueError):
        fits = False
    if not fits:
        (folder / PARTIAL).unlink(missing_ok=True)
        return
    job.done, job.unreadable = state["done"], state["bad"]
    logger.info(f"{folder}: resuming after {job.done:,} of {len(job.entries):,} images")


def finish_images(job: PackingJob, folder: Path, sha256: str) -> dict[str, str]:
    """Turn images.partial into images.npy and write labels.npy; return {file name: SHA-256}.

    `sha256` is the digest of images.partial. Leaves out the rows of unreadable images.
    """
    good = job.readable_entries()
    if job.unreadable:
        _copy_rows(job, [row for row, _ in good], folder)
        sha256 = files.sha256(folder / IMAGES)
    else:
        with files.user_error_on_write(folder / IMAGES):
            (folder / PARTIAL).replace(folder / IMAGES)
    with files.atomic(folder / LABELS) as temporary, temporary.open("wb") as target:
        np.lib.format.write_array(target, np.array([entry.label for _, entry in good], dtype=np.int64), version=(1, 0))
    for name in (PARTIAL, PROGRESS):
        (folder / name).unlink(missing_ok=True)
    return {IMAGES: sha256, LABELS: files.sha256(folder / LABELS)}


def _copy_rows(job: PackingJob, rows: list[int], folder: Path) -> None:
    """Write images.npy from the given rows of images.partial."""
    row_file, per_copy = job.row_file(folder), max(COPY_BYTES // job.row_bytes, 1)
    with (
        files.atomic(folder / IMAGES) as temporary,
        temporary.open("wb") as target,
        row_file.path.open("rb") as source,
    ):
        target.write(job.header(len(rows)))
        for part in _ranges(rows, per_copy):
            source.seek(row_file.offset(part.start))
            target.write(source.read(len(part) * row_file.row_bytes))


def _ranges(rows: list[int], longest: int) -> Iterator[range]:
    """Yield ascending rows as ranges without gaps, each of at most `longest` rows."""
    start = 0
    for position in range(1, len(rows) + 1):
        if position == len(rows) or rows[position] != rows[position - 1] + 1 or position - start == longest:
            yield range(rows[start], rows[position - 1] + 1)
            start = position


def write_contact_sheet(folder: Path) -> None:
    """Write contact.png: the first 64 images of the pack, 64 to 128 pixels each, to check crop and resize by eye."""
    images = np.load(folder / IMAGES, mmap_mode="r")[: CONTACT_SIDE**2]
    side = images.shape[1]
    shown = side * -(-64 // side) if side < 64 else min(side, 128)
    resized = resize(images, shown, shown, Image.Resampling.BOX if shown < side else Image.Resampling.NEAREST)
    sheet = make_grid(resized, CONTACT_SIDE, rows=CONTACT_SIDE, gap=GAP, border=GAP)
    save_png(folder / CONTACT, sheet, compress_level=3)
