"""Several tars as one container: shards of WebDataset, or a tar for each class, in a folder or in a tar.

Members are named after their tar: n01440764.tar with 1.jpg has n01440764/1.jpg.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import TypeVar

from transgan.data.archives.byte_ranges import ByteRange
from transgan.data.archives.containers import TAR_SUFFIXES, Container, Folder, Tar
from transgan.errors import UserError

T = TypeVar("T")


class TarSet(Container):
    """The members of tars, tar by tar. `tars` are their names without suffix, in order; `outer` is what holds them."""

    def __init__(self, outer: Container, tars: Sequence[tuple[str, Tar]]) -> None:
        super().__init__(outer.path)
        self.outer = outer
        self.tars = [name for name, _ in tars]
        self.left_out = outer.left_out
        self._members = [tar for _, tar in tars]
        for name, tar in tars:
            self.names += [f"{name}/{member}" for member in tar.names]
            self.sizes += tar.sizes
            self.left_out.leftovers |= {f"{name}/{member}" for member in tar.left_out.leftovers}
            self.left_out.unfinished |= {f"{name}/{member}" for member in tar.left_out.unfinished}
        self._starts = list(accumulate((len(tar.names) for tar in self._members), initial=0))

    def tar_of(self, index: int) -> str:
        """The name of the tar that holds the file with this index."""
        return self.tars[self._number(index)]

    def contents(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Yield members, tar by tar."""
        return self._each(wanted, lambda tar, members: tar.contents(members))

    def byte_ranges(self, wanted: Sequence[int]) -> Iterator[bytes | Path | ByteRange]:
        """Yield byte ranges in plain tars, contents in compressed ones."""
        return self._each(wanted, lambda tar, members: tar.byte_ranges(members))

    def beginnings(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Read the beginning of each member."""
        return self._each(wanted, lambda tar, members: tar.beginnings(members))

    def _each(self, wanted: Sequence[int], read: Callable[[Tar, list[int]], Iterator[T]]) -> Iterator[T]:
        for number, indices in groupby(wanted, self._number):
            yield from read(self._members[number], [index - self._starts[number] for index in indices])

    def _number(self, index: int) -> int:
        return bisect_right(self._starts, index) - 1


def tars_in(container: Container) -> TarSet | None:
    """The tars in a folder or a tar, opened as one container; None if there are none.

    Raises UserError when one is damaged, or when it lies in a compressed tar, where each would be unpacked from the
    beginning of the outer one.
    """
    names = [name for name in container.names if name.lower().endswith(TAR_SUFFIXES)]
    if not names or not isinstance(container, Folder | Tar):
        return None
    if isinstance(container, Folder):
        opened = [Tar(container.path / name) for name in names]
    elif container.sections is None:
        raise UserError(
            f"{container.path}: tars in a compressed tar are not read; decompress it first (gunzip, bunzip2 or unxz)"
        )
    else:
        section = dict(zip(container.names, container.sections, strict=True))
        opened = [Tar(container.path, section=section[name]) for name in names]
    stems = [without_suffix(name) for name in names]
    shared = Counter(stems)
    titles = [stem if shared[stem] == 1 else name for stem, name in zip(stems, names, strict=True)]
    order = sorted(range(len(names)), key=titles.__getitem__)
    return TarSet(container, [(titles[index], opened[index]) for index in order])


def without_suffix(name: str) -> str:
    """A tar's name without .tar, .tar.gz and the like."""
    suffix = max((suffix for suffix in TAR_SUFFIXES if name.lower().endswith(suffix)), key=len)
    return name[: -len(suffix)]
