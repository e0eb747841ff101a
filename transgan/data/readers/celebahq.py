"""CelebA-HQ: 1024 x 1024 faces.

Source: CelebAMask-HQ, https://mmlab.ie.cuhk.edu.hk/projects/CelebA/CelebAMask_HQ.html, which contains the images as
JPEGs. Progressive GAN's repository (https://github.com/tkarras/progressive_growing_of_gans) has no images: its tool
computes them from CelebA and a file of differences.
Files: CelebAMask-HQ, or a folder, zip or tar of 30,000 images, or of .npy arrays as Progressive GAN's tools write
them. A user places one of these.
Splits: train only. No classes.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import open_container
from transgan.data.image_files import select_images
from transgan.data.readers.base import Entry, Reader, check_parts
from transgan.errors import UserError
from transgan.schema import DatasetConfig

MASK_EDITION_IMAGES = "CelebA-HQ-img"  # folder of CelebAMask-HQ; its other folders hold 400,000 masks


class CelebaHqReader(Reader):
    """Lists the images or .npy files. Skips masks and the text files that come with the editions."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._container = open_container(path)
        split = check_parts(config, ["train"], str(path))["train"]
        names, selection = self._container.names, select_images(self._container)
        mask_edition = any(MASK_EDITION_IMAGES in PurePosixPath(name).parts for name in names)
        self._wanted = [
            index
            for index in selection.indices
            if not mask_edition or MASK_EDITION_IMAGES in PurePosixPath(names[index]).parts
        ]
        if not self._wanted:
            if selection.indices:
                raise UserError(
                    f"{path}: no images in {MASK_EDITION_IMAGES}/, and {len(selection.indices):,} outside it;"
                    " place the faces of CelebA-HQ there"
                )
            raise selection.no_images(path, "place the faces of CelebA-HQ there")
        self.entries = [Entry(names[index], split) for index in self._wanted]

    def contents(self, start: int) -> Iterator[Content]:
        """Yield encoded images or .npy files, or their paths or byte ranges."""
        return self._container.byte_ranges(self._wanted[start:])

    def close(self) -> None:
        """Close the archive."""
        self._container.close()
