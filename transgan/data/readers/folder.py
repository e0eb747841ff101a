"""A user's own images: a folder, zip or tar of image files, with optional split and class folders.

Layout: [split/][class/]...image.jpg. The folders that `splits` names are splits; the first folder below is the class.
Without split folders, all images belong to the one split. A single folder around the split folders is ignored. Where
StyleGAN's dataset_tool has written a dataset.json, the labels are those in it, and its numbered folders are no classes.
"""

import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import open_container
from transgan.data.image_files import CORRECT_PATH, select_images
from transgan.data.readers.base import Entry, Reader, split_of_parts
from transgan.data.readers.stylegan import listed_labels
from transgan.errors import UserError
from transgan.schema import DatasetConfig

logger = logging.getLogger(__name__)


class FolderReader(Reader):
    """Lists the images in the split folders, or all images where there are none."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._container = open_container(path)
        selection = select_images(self._container)
        if not selection.indices:
            raise selection.no_images(path, CORRECT_PATH)
        if selection.note():
            logger.info(f"{path}: {selection.note()}")
        names = [PurePosixPath(self._container.names[index]).parts for index in selection.indices]
        split_of, depth = _split_folders(config, names, path)
        self._wanted: list[int] = []
        folders: list[str] = []
        for index, parts in zip(selection.indices, names, strict=True):
            split = split_of[parts[depth]] if split_of and len(parts) > depth + 1 and parts[depth] in split_of else None
            if split_of and split is None:
                continue
            below = parts[depth + 1 :] if split_of else parts
            self._wanted.append(index)
            folders.append(below[0] if len(below) > 1 else "")
            self.entries.append(Entry(self._container.names[index], split or config.splits[0].name))
        listed = listed_labels(self._container)
        if listed is None:
            self.classes = sorted(set(folders) - {""})
            number = {name: label for label, name in enumerate(self.classes)}
            labels = [number.get(folder, -1) for folder in folders]
        else:
            self.classes = [str(label) for label in range(max(listed.values(), default=-1) + 1)]
            labels = [listed.get(entry.name, -1) for entry in self.entries]
        self.entries = [
            Entry(entry.name, entry.split, label) for entry, label in zip(self.entries, labels, strict=True)
        ]

    def contents(self, start: int) -> Iterator[Content]:
        """Yield encoded images, or their paths or byte ranges."""
        return self._container.byte_ranges(self._wanted[start:])

    def close(self) -> None:
        """Close the archive."""
        self._container.close()


def _split_folders(config: DatasetConfig, names: list[tuple[str, ...]], path: Path) -> tuple[dict[str, str], int]:
    """Return {folder: split} and the depth of those folders; an empty dict if all files belong to the one split."""
    parts = split_of_parts(config)
    tops = {name[0] for name in names if len(name) > 1}
    if tops & parts.keys():
        return parts, 0
    wrapped = len(tops) == 1 and all(len(name) > 1 for name in names)
    if wrapped and {name[1] for name in names if len(name) > 2} & parts.keys():
        return parts, 1
    if len(config.splits) == 1:
        return {}, 0
    raise UserError(
        f"{path}: has no folders named {', '.join(parts)}, but `splits` of the dataset asks for them;"
        f" its folders: {_first_names(sorted(tops))}"
    )


def _first_names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"
