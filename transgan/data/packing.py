"""Packing: a reader's pictures decoded in parallel into images.npy, restartable where it was interrupted, in little memory.

Pictures are written straight to their rows in images.partial; progress.json says how many of the reader's entries are safely on disk. Only
when every row is there does the file get its name.
"""

import hashlib
import io
import itertools
import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np
from PIL import Image

from transgan import files
from transgan.console import Progress, progress, say
from transgan.data.pack import CONTACT, IMAGES, LABELS
from transgan.data.pictures import Content, PictureError, Shaper
from transgan.data.readers import Entry, Reader
from transgan.errors import UserError

PARTIAL, DIGESTS, PROGRESS = "images.partial", "digests.partial", "progress.json"
DIGEST_BYTES = hashlib.sha256().digest_size
BATCH_PICTURES = 256
BATCH_BYTES = 8 * 2**20  # encoded
DECODED_BYTES = 2**20  # a worker's decoded pictures are written while they are in its cache
SAVE_EVERY_SECONDS = 15.0
COPY_BYTES = 32 * 2**20
CONTACT_SIDE = 8


@dataclass
class Job:
    """What packing has to do, and how far it is.

    `bad` maps the names of pictures that cannot be read to the reason, `digests` holds the SHA-256 of every packed row, uint8 (rows, 32).
    """

    reader: Reader
    shaper: Shaper
    splits: list[str]
    done: int = 0
    bad: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = {name: rank for rank, name in enumerate(self.splits)}
        self.entries = self.reader.entries
        by_row = sorted(range(len(self.entries)), key=lambda index: (order[self.entries[index].split], self.entries[index].name))
        self.row_of = np.empty(len(by_row), dtype=np.int64)
        self.row_of[by_row] = np.arange(len(by_row))
        self.by_row = by_row
        self.digests = np.zeros((len(by_row), DIGEST_BYTES), np.uint8)

    @property
    def row_bytes(self) -> int:
        """Bytes of one packed picture."""
        return self.shaper.resolution**2 * 3

    def header(self, count: int) -> bytes:
        """The .npy header of `count` packed pictures."""
        buffer = io.BytesIO()
        shape = (count, self.shaper.resolution, self.shaper.resolution, 3)
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return buffer.getvalue()

    def offset(self, row: int) -> int:
        """Where `row` begins in images.partial."""
        return len(self.header(len(self.entries))) + row * self.row_bytes

    def good_entries(self) -> list[tuple[int, Entry]]:
        """(row, entry) of every picture that could be read, in the order of rows."""
        return [(row, self.entries[index]) for row, index in enumerate(self.by_row) if self.entries[index].name not in self.bad]

    def content_digest(self) -> str:
        """SHA-256 over the digests of all readable pictures in the order of rows, and their labels: what the pack holds, in hex.

        Rows are hashed by the workers that made them, because one more reading of a large pack would keep a single core busy for long.
        """
        good = self.good_entries()
        total = hashlib.sha256(self.digests[[row for row, _ in good]].tobytes())
        total.update(np.array([entry.label for _, entry in good], dtype="<i8").tobytes())
        return total.hexdigest()


def pack_pictures(job: Job, folder: Path, what: str) -> None:
    """Decode every entry into `folder`/images.partial, going on where an interrupted call stopped. Fills `job.bad`.

    Raises UserError when the disk is full or the source damaged; what is done until then is kept.
    """
    _restore(job, folder)
    partial = folder / PARTIAL
    _check_room(job, partial, what)
    with files.writing(partial):
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o644)
    workers = len(os.sched_getaffinity(0))
    try:
        with files.writing(partial):
            _write(descriptor, [memoryview(job.header(len(job.entries)))], 0)
        with ThreadPoolExecutor(workers) as pool, progress(what, len(job.entries), "pictures", job.done) as bar:
            _run(job, folder, descriptor, pool, workers, bar)
    finally:
        os.close(descriptor)


def _check_room(job: Job, partial: Path, what: str) -> None:
    there = partial.stat().st_size if partial.exists() else 0
    needed, free = len(job.entries) * job.row_bytes - there, shutil.disk_usage(partial.parent).free
    if needed > free:
        raise UserError(f"{what}: needs {needed / 1e6:,.1f} MB in {partial.parent}, {free / 1e6:,.1f} MB are free; make room or link data/ elsewhere")


def _run(job: Job, folder: Path, descriptor: int, pool: ThreadPoolExecutor, workers: int, bar: Progress) -> None:
    """Keep the workers busy with batches, in order; note what is safely on disk every now and then."""
    waiting: deque[tuple[int, Future[dict[str, str]]]] = deque()
    saved = monotonic()

    def finish_one() -> None:
        nonlocal saved
        count, future = waiting.popleft()
        with files.writing(folder / PARTIAL):
            job.bad.update(future.result())
        job.done += count
        bar.advance(count)
        if monotonic() - saved > SAVE_EVERY_SECONDS:
            _save(job, folder, descriptor)
            saved = monotonic()

    try:
        for first, batch in _batches(job):
            waiting.append((len(batch), pool.submit(_pack_batch, job, first, batch, descriptor)))
            if len(waiting) > 2 * workers:
                finish_one()
        while waiting:
            finish_one()
    except BaseException:
        for _, future in waiting:
            future.cancel()
        _save(job, folder, descriptor)
        raise
    _save(job, folder, descriptor)


def _batches(job: Job) -> Iterator[tuple[int, list[Content]]]:
    """(index of the first entry, contents): bounded in number and bytes, encoded and decoded."""
    most = min(BATCH_PICTURES, max(DECODED_BYTES // job.row_bytes, 1))
    first, batch, size = job.done, list[Content](), 0
    for content in job.reader.contents(job.done):
        batch.append(content)
        size += content.nbytes if isinstance(content, np.ndarray) else len(content) if isinstance(content, bytes) else 0
        if len(batch) == most or size >= BATCH_BYTES:
            yield first, batch
            first, batch, size = first + len(batch), [], 0
    if batch:
        yield first, batch


def _pack_batch(job: Job, first: int, batch: list[Content], descriptor: int) -> dict[str, str]:
    """Shape the pictures of a batch and write them to their rows, neighbouring rows at once; returns those that cannot be read."""
    bad: dict[str, str] = {}
    run, run_start = list[memoryview](), 0
    for index, content in enumerate(batch, first):
        entry, row = job.entries[index], int(job.row_of[index])
        try:
            pixels = np.ascontiguousarray(job.shaper.shape(content, entry.box)).data
        except PictureError as error:
            bad[entry.name] = str(error)
            continue
        job.digests[row] = np.frombuffer(hashlib.sha256(pixels).digest(), np.uint8)
        if run and row != run_start + len(run):
            _write(descriptor, run, job.offset(run_start))
            run = []
        if not run:
            run_start = row
        run.append(pixels)
    if run:
        _write(descriptor, run, job.offset(run_start))
    return bad


def _write(descriptor: int, pieces: Sequence[memoryview], offset: int) -> None:
    """Write all pieces one after the other at `offset`, also where the system takes them only in part."""
    written, total = os.pwritev(descriptor, pieces, offset), sum(piece.nbytes for piece in pieces)
    if written == total:
        return
    rest = memoryview(b"".join(piece.cast("B") for piece in pieces))[written:]
    while rest:
        step = os.pwrite(descriptor, rest, offset + total - len(rest))
        rest = rest[step:]


def _save(job: Job, folder: Path, descriptor: int) -> None:
    with files.writing(folder / PARTIAL):
        os.fsync(descriptor)
    files.write_bytes(folder / DIGESTS, job.digests.tobytes())
    files.write_json(folder / PROGRESS, {"done": job.done, "entries": len(job.entries), "bad": job.bad})


def _restore(job: Job, folder: Path) -> None:
    """Take up what an interrupted call left; anything that does not fit is begun anew."""
    try:
        state = files.read_json(folder / PROGRESS)
        digests = np.fromfile(folder / DIGESTS, np.uint8).reshape(job.digests.shape)
        fits = state["entries"] == len(job.entries) and (folder / PARTIAL).exists() and 0 < state["done"] <= len(job.entries)
    except (UserError, KeyError, TypeError, OSError, ValueError):
        fits = False
    if not fits:
        (folder / PARTIAL).unlink(missing_ok=True)
        return
    job.done, job.bad, job.digests = state["done"], state["bad"], digests
    say(f"{folder}: going on after {job.done:,} of {len(job.entries):,} pictures")


def finish_images(job: Job, folder: Path) -> None:
    """Give images.partial its name (rows of unreadable pictures taken out) and write labels.npy."""
    good = job.good_entries()
    if job.bad:
        _copy_rows(job, [row for row, _ in good], folder)
    else:
        with files.writing(folder / IMAGES):
            (folder / PARTIAL).replace(folder / IMAGES)
    with files.atomic(folder / LABELS) as temporary, temporary.open("wb") as target:
        np.lib.format.write_array(target, np.array([entry.label for _, entry in good], dtype=np.int64), version=(1, 0))
    for name in (PARTIAL, DIGESTS, PROGRESS):
        (folder / name).unlink(missing_ok=True)


def _copy_rows(job: Job, rows: list[int], folder: Path) -> None:
    per_copy = max(COPY_BYTES // job.row_bytes, 1)
    with files.atomic(folder / IMAGES) as temporary, temporary.open("wb") as target, (folder / PARTIAL).open("rb") as source:
        target.write(job.header(len(rows)))
        for part in _ranges(rows, per_copy):
            source.seek(job.offset(part.start))
            target.write(source.read(len(part) * job.row_bytes))


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
