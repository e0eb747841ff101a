"""The interface of every reader: a list of the images of its source, and their contents streamed in the same order."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from transgan.data.archives.byte_ranges import Content
from transgan.data.transforms import Box
from transgan.errors import UserError
from transgan.schema import DatasetConfig, Split


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of the source: its name, split, label (-1: none), and a crop of its own, if any.

    The rows of a split are sorted by name.
    """

    name: str
    split: str
    label: int = -1
    box: Box | None = None


class Reader(ABC):
    """A source opened for reading.

    Subclasses fill `entries`, in the order in which the source streams fastest, and `classes`, and implement
    `contents`. `notes` are lines for the user. `layout` says how labels were found in an unusual place; it belongs to
    the digest of the source.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.classes: list[str] = []
        self.notes: list[str] = []
        self.layout = ""

    @abstractmethod
    def contents(self, start: int) -> Iterator[Content]:
        """Yield the contents of entries[start:], in order. Raises UserError when the source is damaged."""

    def close(self) -> None:  # noqa: B027  (not every source has open files)
        """Close open files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def split_of_parts(config: DatasetConfig) -> dict[str, str]:
    """Return {part of the source: split that it belongs to}."""
    return {part: split.name for split in config.splits for part in split.source_parts}


def check_parts(config: DatasetConfig, known: Sequence[str], source: str) -> dict[str, str]:
    """Return `split_of_parts`. Raises UserError for a part that the source does not have."""
    parts = split_of_parts(config)
    for part in parts:
        if part not in known:
            raise UserError(
                f"{source}: has no part {part!r}, it has: {', '.join(known)}; name them in `splits` (or its `parts`)"
            )
    return parts


def check_counts(splits: Sequence[Split], counts: dict[str, int], allow_partial: bool, source: str) -> None:
    """Raise UserError when a split is empty or, unless `allow_partial`, not of the configured size."""
    for split in splits:
        count = counts.get(split.name, 0)
        if count == 0:
            raise UserError(f"{source}: no images for the split {split.name!r}; check `path` and `splits`")
        if split.count is not None and count != split.count and not allow_partial:
            raise UserError(
                f"{source}: the split {split.name!r} has {count:,} images, {split.count:,} are expected;"
                " complete it, correct `count`, or set `allow_partial: true`"
            )
