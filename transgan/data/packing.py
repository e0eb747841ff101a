"""Packing: a reader's pictures decoded in parallel into images.npy, restartable where it was interrupted, in little memory.

Workers write pictures straight to their rows in images.partial; progress.json says how many of the reader's entries are safely on disk. Only
when every row is there does the file get its name.
"""

import io
import itertools
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

from transgan.data.pack import CONTACT, IMAGES, LABELS
from transgan.data.readers import Entry, Reader
from transgan.data.transforms import CropAndResize
from transgan.data.workers import Item, Rows, pack_batch, worker_count, workers, write_at
from transgan.errors import UserError
from transgan.utils import files
from transgan.utils.console import progress

logger = logging.getLogger(__name__)

PARTIAL, PROGRESS = "images.partial", "progress.json"
BATCH_IMAGES = 256
BATCH_BYTES = 8 * 2**20  # encoded
DECODED_BYTES = 2 * 2**20  # a worker writes its decoded pictures while they are in a cache
SAVE_EVERY_SECONDS = 5.0
COPY_BYTES = 32 * 2**20
DIGEST_BYTES = (
    64 * 2**20
)  # most that is hashed between two batches: after an interruption there is much to catch up with
CONTACT_SIDE = 8


@dataclass
class Job:
    """What packing has to do, and how far it is.

    `bad` maps the names of pictures that cannot be read to the reason.
    """

    reader: Reader
    transform: CropAndResize
    splits: list[str]
    done: int = 0
    bad: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = {name: rank for rank, name in enumerate(self.splits)}
        self.entries = self.reader.entries
        by_row = sorted(
            range(len(self.entries)), key=lambda index: (order[self.entries[index].split], self.entries[index].name)
        )
        self.row_of = np.empty(len(by_row), dtype=np.int64)
        self.row_of[by_row] = np.arange(len(by_row))
        self.by_row = by_row
        self._first_missing = np.append(np.minimum.accumulate(self.row_of[::-1])[::-1], len(by_row))

    @property
    def row_bytes(self) -> int:
        """Bytes of one packed picture."""
        return self.transform.resolution**2 * 3

    def header(self, count: int) -> bytes:
        """The .npy header of `count` packed pictures."""
        buffer = io.BytesIO()
        shape = (count, self.transform.resolution, self.transform.resolution, 3)
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return buffer.getvalue()

    def rows(self, folder: Path) -> Rows:
        """`folder`/images.partial, with a row for every entry."""
        return Rows(folder / PARTIAL, len(self.header(len(self.entries))), self.row_bytes)

    def finish(self, count: int, bad: dict[int, str]) -> None:
        """Note that the next `count` entries are packed, but for those at the positions `bad`."""
        self.bad.update({self.entries[self.done + position].name: reason for position, reason in bad.items()})
        self.done += count

    def state(self) -> dict[str, Any]:
        """How far it is, as progress.json holds it."""
        return {"done": self.done, "entries": len(self.entries), "bad": dict(self.bad)}

    def complete_rows(self) -> int:
        """How many rows are written without a gap before them; entries may come in another order."""
        return int(self._first_missing[self.done])

    def good_entries(self) -> list[tuple[int, Entry]]:
        """(row, entry) of every picture that could be read, in the order of rows."""
        return [
            (row, self.entries[index])
            for row, index in enumerate(self.by_row)
            if self.entries[index].name not in self.bad
        ]


def pack_images(job: Job, folder: Path, what: str) -> str:
    """Decode every entry into `folder`/images.partial, going on where an interrupted call stopped; returns its SHA-256. Fills `job.bad`.

    Raises UserError when the disk is full or the source damaged; what is done until then is kept.
    """
    _restore(job, folder)
    rows, count = job.rows(folder), len(job.entries)
    _check_room(job, rows, what)
    _write_header(job, rows)
    digest = files.GrowingDigest(rows.path)
    with (
        workers(count - job.done) as pool,
        progress(what, count, "pictures", job.done) as bar,
        _Saver(job, folder) as saver,
    ):
        for done, bad in _results(job, rows, pool):
            job.finish(done, bad)
            bar.advance(done)
            digest.advance(rows.offset(job.complete_rows()), DIGEST_BYTES)
            saver.now_and_then()
    digest.advance(rows.offset(count))
    return digest.hexdigest()


def _check_room(job: Job, rows: Rows, what: str) -> None:
    there = rows.path.stat().st_size if rows.path.exists() else 0
    needed, free = len(job.entries) * rows.row_bytes - there, shutil.disk_usage(rows.path.parent).free
    if needed > free:
        raise UserError(
            f"{what}: needs {needed / 1e6:,.1f} MB in {rows.path.parent}, {free / 1e6:,.1f} MB are free; make room or link data/ elsewhere"
        )


def _write_header(job: Job, rows: Rows) -> None:
    with files.user_error_on_write(rows.path):
        descriptor = os.open(rows.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            write_at(descriptor, [memoryview(job.header(len(job.entries)))], 0)
        finally:
            os.close(descriptor)


def _results(job: Job, rows: Rows, pool: Executor) -> Iterator[tuple[int, dict[int, str]]]:
    """Keep the workers busy with batches; yields (pictures, those that cannot be read) of each batch, in order."""
    waiting: deque[tuple[int, Future[dict[int, str]]]] = deque()

    def oldest() -> tuple[int, dict[int, str]]:
        count, future = waiting.popleft()
        with files.user_error_on_write(rows.path):
            return count, future.result()

    try:
        for batch in _batches(job):
            waiting.append((len(batch), pool.submit(pack_batch, job.transform, rows, batch)))
            if len(waiting) > 2 * worker_count():
                yield oldest()
        while waiting:
            yield oldest()
    finally:
        for _, future in waiting:
            future.cancel()


def _batches(job: Job) -> Iterator[list[Item]]:
    """The entries that are left: bounded in number and bytes, encoded and decoded."""
    most = min(BATCH_IMAGES, max(DECODED_BYTES // job.row_bytes, 1))
    batch, size = list[Item](), 0
    for index, content in enumerate(job.reader.contents(job.done), job.done):
        batch.append((int(job.row_of[index]), job.entries[index].box, content))
        size += content.nbytes if isinstance(content, np.ndarray) else len(content) if isinstance(content, bytes) else 0
        if len(batch) == most or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Saver:
    """Notes what is safely on disk: every now and then, beside the packing, because a disk may take long over it, and at the end."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job, self._folder = job, folder
        self._thread = ThreadPoolExecutor(1)
        self._saving: Future[None] | None = None
        self._last = monotonic()

    def now_and_then(self) -> None:
        """Begin to save what is done, when it is time to and the last time is over. Raises UserError when that failed."""
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


def _restore(job: Job, folder: Path) -> None:
    """Take up what an interrupted call left; anything that does not fit is begun anew."""
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
    job.done, job.bad = state["done"], state["bad"]
    logger.info(f"{folder}: going on after {job.done:,} of {len(job.entries):,} pictures")


def finish_images(job: Job, folder: Path, sha256: str) -> dict[str, str]:
    """Give images.partial, whose digest is `sha256`, its name (rows of unreadable pictures taken out), and write labels.npy.

    Returns the SHA-256 of both, by name.
    """
    good = job.good_entries()
    if job.bad:
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


def _copy_rows(job: Job, kept: list[int], folder: Path) -> None:
    """images.npy of the rows that are `kept`."""
    rows, per_copy = job.rows(folder), max(COPY_BYTES // job.row_bytes, 1)
    with files.atomic(folder / IMAGES) as temporary, temporary.open("wb") as target, rows.path.open("rb") as source:
        target.write(job.header(len(kept)))
        for part in _ranges(kept, per_copy):
            source.seek(rows.offset(part.start))
            target.write(source.read(len(part) * rows.row_bytes))


def _ranges(rows: list[int], longest: int) -> Iterator[range]:
    """Ascending rows as ranges without gaps."""
    start = 0
    for position in range(1, len(rows) + 1):
        if position == len(rows) or rows[position] != rows[position - 1] + 1 or position - start == longest:
            yield range(rows[start], rows[position - 1] + 1)
            start = position


def write_contact_sheet(folder: Path) -> None:
    """The first 64 pictures of the pack as contact.png, 64 to 128 pixels each, so that a person sees crop and resize at a glance."""
    images = np.load(folder / IMAGES, mmap_mode="r")[: CONTACT_SIDE**2]
    side = images.shape[1]
    shown = side * -(-64 // side) if side < 64 else min(side, 128)
    sheet = Image.new("RGB", ((shown + 2) * CONTACT_SIDE + 2,) * 2, "white")
    for index, (down, right) in zip(range(len(images)), itertools.product(range(CONTACT_SIDE), repeat=2), strict=False):
        picture = Image.fromarray(np.asarray(images[index]))
        picture = picture.resize((shown, shown), Image.Resampling.BOX if shown < side else Image.Resampling.NEAREST)
        sheet.paste(picture, (right * (shown + 2) + 2, down * (shown + 2) + 2))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=3)
    files.write_bytes(folder / CONTACT, buffer.getvalue())
