"""CelebA-HQ as people have it: a folder, zip or tar of pictures or of .npy files, or the edition inside CelebAMask-HQ."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import open_container
from transgan.data.readers.base import Entry, Reader, check_parts
from transgan.data.transforms import IMAGE_SUFFIXES
from transgan.errors import UserError
from transgan.schema import DatasetConfig

PICTURES = "CelebA-HQ-img"  # of CelebAMask-HQ, beside 400,000 masks that are no faces


class CelebaHqReader(Reader):
    """30,000 faces without classes or partition: everything is the part `train`. Texts that come with the editions are passed over."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._container = open_container(path)
        split = check_parts(config, ["train"], str(path))["train"]
        names = self._container.names
        mask_edition = any(PICTURES in PurePosixPath(name).parts for name in names)
        self._wanted = [
            index
            for index, name in enumerate(names)
            if PurePosixPath(name).suffix.lower() in {*IMAGE_SUFFIXES, ".npy"}
            and (not mask_edition or PICTURES in PurePosixPath(name).parts)
        ]
        if not self._wanted:
            raise UserError(f"{path}: no pictures in it; place the faces of CelebA-HQ there")
        self.entries = [Entry(names[index], split) for index in self._wanted]

    def contents(self, start: int) -> Iterator[Content]:
        """Encoded pictures or .npy files, or where they are."""
        return self._container.byte_ranges(self._wanted[start:])

    def close(self) -> None:
        """Close the archive."""
        self._container.close()
