"""What several tars are: shards of one dataset, or a class each.

They are shards where images have companions of the same name (.cls, .json, .txt), as in WebDataset, or where the tars
are numbered in a row from 0 or 1 or like 00007. Otherwise each is a class, as in ImageNet.
"""

import re
from collections.abc import Collection, Sequence

from transgan.data.archives.tar_sets import TarSet
from transgan.data.readers.sample_labels import sample_key

NUMBER = re.compile(r"\d+")
PADDED_NUMBER = re.compile(r"0\d{3,}")  # a name of nothing else


def shard_reason(tars: TarSet, images: Sequence[str], companions: Sequence[str]) -> str:
    """Why the tars are shards, in words; empty where each is a class."""
    if {sample_key(name) for name in images} & {sample_key(name) for name in companions}:
        return "images have companions of the same name"
    return "they are numbered" if _numbered(tars.tars) else ""


def role_in_words(tars: TarSet, reason: str) -> str:
    """One line that says what the tars were taken for, and how to have the other."""
    count = len(tars.tars)
    if reason:
        return f"{count:,} tars are shards, not classes, because {reason}; for classes, name each tar after its class"
    return f"{count:,} tars are a class each, named after them; for shards, number them 00000.tar, 00001.tar, ..."


def parts_in_shard(name: str, tar: str, known: Collection[str]) -> tuple[str, ...]:
    """The folders and file that an image's name stands for, where tars are shards and no folders.

    Of the folders around the tar, and of the words in its name (train-00000), only those in `known`, the parts of the
    source, remain.
    """
    *folders, stem = tar.split("/")
    words = [part for part in known if re.search(rf"(?<![a-z0-9]){re.escape(part)}(?![a-z0-9])", stem.lower())]
    around = [folder for folder in folders if folder in known] or words
    return (*around[:1], *name[len(tar) + 1 :].split("/"))


def _numbered(names: Sequence[str]) -> bool:
    """Whether names differ in one number that counts from 0 or 1, for each of their kinds."""
    kinds: dict[str, list[list[int]]] = {}
    for name in names:
        kinds.setdefault(NUMBER.sub("#", name), []).append([int(number) for number in NUMBER.findall(name)])
    return all(PADDED_NUMBER.fullmatch(name.rpartition("/")[2]) for name in names) or all(
        _counts_up(numbers) for numbers in kinds.values()
    )


def _counts_up(numbers: list[list[int]]) -> bool:
    columns = [sorted(column) for column in zip(*numbers, strict=True)]
    varying = [column for column in columns if len(set(column)) > 1] or columns[:1]
    return len(varying) == 1 and varying[0] in ([*range(len(numbers))], [*range(1, len(numbers) + 1)])
