"""What every reader is: a list of the pictures of its source, and their contents streamed in that order."""

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
    """A picture of the source: its name (rows of a split are sorted by it), its split, its label (-1: none) and its own crop, if any."""

    name: str
    split: str
    label: int = -1
    box: Box | None = None


class Reader(ABC):
    """A source opened for reading. Subclasses fill `entries` (in the order in which the source streams best) and `classes`, and stream."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.classes: list[str] = []

    @abstractmethod
    def contents(self, start: int) -> Iterator[Content]:
        """The contents of entries[start:], one by one, in order. Raises UserError when the source is damaged."""

    def close(self) -> None:  # noqa: B027  (not every source has any)
        """Let go of open files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parts_of(config: DatasetConfig) -> dict[str, str]:
    """Which split each part of a source belongs to: {part: split}."""
    return {part: split.name for split in config.splits for part in split.source_parts}


def check_parts(config: DatasetConfig, known: Sequence[str], source: str) -> dict[str, str]:
    """`parts_of`, when the source has all of them; UserError else."""
    parts = parts_of(config)
    for part in parts:
        if part not in known:
            raise UserError(
                f"{source}: has no part {part!r}, it has: {', '.join(known)}; name them in `splits` (or its `parts`)"
            )
    return parts


def check_counts(splits: Sequence[Split], found: dict[str, int], allow_partial: bool, source: str) -> None:
    """UserError when a split has another number of pictures than its configuration says, unless that is allowed, or has none."""
    for split in splits:
        count = found.get(split.name, 0)
        if count == 0:
            raise UserError(f"{source}: no pictures for the split {split.name!r}; check `path` and `splits`")
        if split.count is not None and count != split.count and not allow_partial:
            raise UserError(
                f"{source}: the split {split.name!r} has {count:,} pictures, {split.count:,} are expected;"
                " complete it, correct `count`, or set `allow_partial: true`"
            )
