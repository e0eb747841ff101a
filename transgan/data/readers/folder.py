"""A user's own images: a folder, zip or tar of JPEG, PNG or WebP files, with optional split and class folders.

Layout: [split/][class/]...image.jpg. The folders that `splits` names are splits; the first folder below is the class.
Without split folders, all images belong to the one split. A single folder around the split folders is ignored.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import open_container
from transgan.data.readers.base import Entry, Reader, split_of_parts
from transgan.errors import UserError
from transgan.schema import DatasetConfig


class FolderReader(Reader):
    """Lists all files in the split folders, or all files where there are none."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._container = open_container(path)
        names = [PurePosixPath(name).parts for name in self._container.names]
        if not names:
            raise UserError(f"{path}: no images in it; correct `path` of the dataset in params.yaml")
        split_of, depth = _split_folders(config, names, path)
        self._wanted: list[int] = []
        folders: list[str] = []
        for index, parts in enumerate(names):
            split = split_of[parts[depth]] if split_of and len(parts) > depth + 1 and parts[depth] in split_of else None
            if split_of and split is None:
                continue
            below = parts[depth + 1 :] if split_of else parts
            self._wanted.append(index)
            folders.append(below[0] if len(below) > 1 else "")
            self.entries.append(Entry(self._container.names[index], split or config.splits[0].name))
        self.classes = sorted(set(folders) - {""})
        labels = {name: label for label, name in enumerate(self.classes)}
        self.entries = [
            Entry(entry.name, entry.split, labels.get(folder, -1))
            for entry, folder in zip(self.entries, folders, strict=True)
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
