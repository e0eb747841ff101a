"""A user's own pictures: any folder, zip or tar of them, with optional split and class folders."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import open_container
from transgan.data.readers.base import Entry, Reader, parts_of
from transgan.errors import UserError
from transgan.schema import DatasetConfig


class FolderReader(Reader):
    """[split/][class/][...]picture.jpg: split folders are those that `splits` names; the first folder below is the class.

    Without split folders everything is the one split. A single folder around everything is looked through where the splits are inside it.
    """

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._container = open_container(path)
        names = [PurePosixPath(name).parts for name in self._container.names]
        if not names:
            raise UserError(f"{path}: no pictures in it; correct `path` of the dataset in params.yaml")
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
        """Encoded pictures, or where they are."""
        return self._container.byte_ranges(self._wanted[start:])

    def close(self) -> None:
        """Close the archive."""
        self._container.close()


def _split_folders(config: DatasetConfig, names: list[tuple[str, ...]], path: Path) -> tuple[dict[str, str], int]:
    """{folder: split} and at which depth those folders lie; an empty dict when there are none and everything is the one split."""
    parts = parts_of(config)
    tops = {name[0] for name in names if len(name) > 1}
    if tops & parts.keys():
        return parts, 0
    wrapped = len(tops) == 1 and all(len(name) > 1 for name in names)
    if wrapped and {name[1] for name in names if len(name) > 2} & parts.keys():
        return parts, 1
    if len(config.splits) == 1:
        return {}, 0
    raise UserError(
        f"{path}: has no folders named {', '.join(parts)}, but `splits` of the dataset asks for them; its folders: {_some(sorted(tops))}"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"
