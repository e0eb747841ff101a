"""Which files of a folder or an archive are images: one rule for `prepare` and `evaluate`.

A file with the suffix of an image is one, and is damaged if its content is not. Any other file is one if its content
begins as an image does, also of a format that is not read. Labels, captions and other companions are left out, and
counted.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from transgan.data.archives.containers import Container
from transgan.data.image_formats import SUFFIXES, image_format


@dataclass(frozen=True)
class Selection:
    """The images among the files of a container: ascending indices into its names, and the others by suffix."""

    indices: list[int]
    left_out: Counter[str]
    leftovers: int  # of operating systems and tools

    def note(self) -> str:
        """How many files were left out, in words; empty for none."""
        kinds = ", ".join(f"{count:,} {suffix or 'without suffix'}" for suffix, count in self.left_out.most_common(5))
        others = f", {len(self.left_out) - 5} more kinds" if len(self.left_out) > 5 else ""
        parts = [f"{self.left_out.total():,} files that are no images ({kinds}{others})"] if self.left_out else []
        parts += [f"{self.leftovers:,} leftovers of operating systems and tools"] if self.leftovers else []
        return f"{len(self.indices):,} images; left out {' and '.join(parts)}" if parts else ""


def select_images(container: Container) -> Selection:
    """Find the images among the files of a container. Raises UserError when an archive is damaged."""
    suffixes = [PurePosixPath(name).suffix.lower() for name in container.names]
    unclear = [index for index, suffix in enumerate(suffixes) if suffix not in SUFFIXES]
    beginnings = zip(unclear, container.beginnings(unclear), strict=True)
    others = {index for index, beginning in beginnings if image_format(beginning) is None}
    left_out = Counter(suffixes[index] for index in others)
    return Selection([index for index in range(len(suffixes)) if index not in others], left_out, container.leftovers)
