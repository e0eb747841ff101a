"""Which files of a folder or an archive are images: one rule for `prepare` and `evaluate`.

A file with the suffix of an image is one, and is damaged if its content is not. Any other file is one if its content
begins as an image does. Images of formats that are not read, labels, captions and other companions are left out, and
counted.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from transgan.data.archives.containers import Container
from transgan.data.image_formats import FORMATS, PIXEL_ARRAY, SUFFIXES, image_format


@dataclass(frozen=True)
class Selection:
    """The images among the files of a container: ascending indices into its names, and the others by suffix."""

    indices: list[int]
    left_out: Counter[str]
    leftovers: int  # of operating systems and tools
    unread: Counter[str]  # images by their formats, which are not read

    def note(self) -> str:
        """How many files were left out, in words; empty for none."""
        kinds = ", ".join(f"{count:,} {suffix or 'without suffix'}" for suffix, count in self.left_out.most_common(5))
        others = f", {len(self.left_out) - 5} more kinds" if len(self.left_out) > 5 else ""
        parts = [f"{self.unread.total():,} images of formats that are not read ({self.formats})"] if self.unread else []
        parts += [f"{self.left_out.total():,} files that are no images ({kinds}{others})"] if self.left_out else []
        parts += [f"{self.leftovers:,} leftovers of operating systems and tools"] if self.leftovers else []
        return f"{len(self.indices):,} images; left out {' and '.join(parts)}" if parts else ""

    @property
    def formats(self) -> str:
        """The formats of images that are left out, with their counts and what to do."""
        return f"{', '.join(f'{count:,} {kind}' for kind, count in self.unread.most_common())}; convert them to PNG"


def select_images(container: Container) -> Selection:
    """Find the images among the files of a container. Raises UserError when an archive is damaged."""
    suffixes = [PurePosixPath(name).suffix.lower() for name in container.names]
    unclear = [index for index, suffix in enumerate(suffixes) if suffix not in SUFFIXES]
    beginnings = zip(unclear, container.beginnings(unclear), strict=True)
    found = {index: image_format(beginning) for index, beginning in beginnings}
    others = {index: kind for index, kind in found.items() if kind not in (*FORMATS, PIXEL_ARRAY)}
    return Selection(
        indices=[index for index in range(len(suffixes)) if index not in others],
        left_out=Counter(suffixes[index] for index, kind in others.items() if kind is None),
        leftovers=container.leftovers,
        unread=Counter(kind for kind in others.values() if kind is not None),
    )
