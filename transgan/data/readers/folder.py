"""A user's own images: a folder, zip or tar of image files, with optional split and class folders.

Layout: [split/][class/]...image.jpg. The folders that `splits` names are splits; the first folder below is the class.
Without split folders, all images belong to the one split. A single folder around the split folders, or around several
class folders, is ignored. Labels in StyleGAN's dataset.json, or in WebDataset's files beside the images, go before
folders. Several tars are shards or classes (tar_roles.py).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.tar_sets import TarSet
from transgan.data.image_files import CORRECT_PATH, Selection, open_images
from transgan.data.readers import tar_roles
from transgan.data.readers.base import Entry, Reader, split_of_parts
from transgan.data.readers.sample_labels import sample_labels
from transgan.data.readers.stylegan import listed_labels
from transgan.errors import UserError
from transgan.schema import DatasetConfig

NUMBERED_FOLDER = re.compile(r"\d{5,}")  # of a tool that limits the number of files in a folder; no class


class FolderReader(Reader):
    """Lists the images in the split folders, or all images where there are none."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._container, selection = open_images(path)
        if not selection.indices:
            raise selection.no_images(path, CORRECT_PATH)
        self._notes: list[str] = []
        self._layout: list[str] = []
        names = self._parts(config, selection)
        split_of, depth = _split_folders(config, names, path)
        self._wanted: list[int] = []
        below: list[tuple[str, ...]] = []
        for index, parts in zip(selection.indices, names, strict=True):
            split = split_of[parts[depth]] if split_of and len(parts) > depth + 1 and parts[depth] in split_of else None
            if split_of and split is None:
                continue
            self._wanted.append(index)
            below.append(parts[depth + 1 :] if split_of else parts)
            self.entries.append(Entry(self._container.names[index], split or config.splits[0].name))
        if others := len(names) - len(self.entries):
            self._notes.append(f"{others:,} images are in none of the splits")
        labels = self._labels_in_files(selection)
        if labels is None:
            labels = self._labels_of_folders(below)
        self.entries = [
            Entry(entry.name, entry.split, label) for entry, label in zip(self.entries, labels, strict=True)
        ]
        self.notes = [f"{path}: {note}" for note in [selection.note(), *self._notes] if note]
        self.layout = "; ".join(self._layout)

    def contents(self, start: int) -> Iterator[Content]:
        """Yield encoded images, or their paths or byte ranges."""
        return self._container.byte_ranges(self._wanted[start:])

    def close(self) -> None:
        """Close the archive."""
        self._container.close()

    def _parts(self, config: DatasetConfig, selection: Selection) -> list[tuple[str, ...]]:
        """The folders and file name of each image; tars are folders if they are classes."""
        names = [self._container.names[index] for index in selection.indices]
        if not isinstance(self._container, TarSet):
            return [tuple(name.split("/")) for name in names]
        reason = tar_roles.shard_reason(self._container, names, selection.companions)
        self._notes.append(tar_roles.role_in_words(self._container, reason))
        self._layout.append("shards" if reason else "class tars")
        if not reason:
            return [tuple(name.split("/")) for name in names]
        tars = (self._container.tar_of(index) for index in selection.indices)
        known = split_of_parts(config)
        return [tar_roles.parts_in_shard(name, tar, known) for name, tar in zip(names, tars, strict=True)]

    def _labels_in_files(self, selection: Selection) -> list[int] | None:
        """The labels that files beside the images hold, and the classes; None where there are none."""
        names = [self._container.names[index] for index in selection.indices]
        listed = listed_labels(self._container, names)
        if listed is not None:
            self._notes += listed.notes
            selection.used |= listed.files
            self.classes = [str(label) for label in range(max(listed.labels.values(), default=-1) + 1)]
            if not listed.plain:
                self._layout.append("names of dataset.json corrected")
            return [listed.labels.get(entry.name, -1) for entry in self.entries]
        beside = sample_labels(self._container, names, selection.companions)
        if beside is None:
            return None
        self._notes.append(beside.note)
        if not beside.labels:
            return None
        selection.used |= beside.files
        self._layout.append("labels beside images")
        self.classes = beside.classes
        return [beside.labels.get(entry.name, -1) for entry in self.entries]

    def _labels_of_folders(self, names: Sequence[tuple[str, ...]]) -> list[int]:
        """The labels of class folders, and the classes. A folder around several class folders is ignored."""
        if names and (around := _folders_around_classes(names)):
            self._notes.append(f"the classes are the folders in {'/'.join(around)}/")
            self._layout.append("class folders in a folder")
            names = [parts[len(around) :] for parts in names]
        folders = [parts[0] if len(parts) > 1 else "" for parts in names]
        self.classes = sorted(set(folders) - {""})
        number = {name: label for label, name in enumerate(self.classes)}
        return [number.get(folder, -1) for folder in folders]


def _folders_around_classes(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The folders, one in another, that all images are in, if several folders are in the last that may be classes."""
    first, depth = names[0], 0
    while all(len(parts) > depth + 1 and parts[depth] == first[depth] for parts in names):
        depth += 1
    inner = {parts[depth] for parts in names if len(parts) > depth + 1}
    several = len(inner) > 1 and not all(NUMBERED_FOLDER.fullmatch(folder) for folder in inner)
    return first[:depth] if several else ()


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
