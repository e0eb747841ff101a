"""Labels in a file beside each image, as WebDataset keeps them: 0001.jpg and 0001.cls.

Source: https://github.com/webdataset/webdataset, webdataset/tariterators.py and autodecode.py. Files whose names are
equal up to the first dot of the last part form a sample; .cls holds a class number in text.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from transgan.data.archives.containers import Container, Tar
from transgan.data.archives.tar_sets import TarSet

SUFFIXES = (".cls", ".cls.txt", ".class", ".class.txt", ".label", ".label.txt")
JSON = ".json"
JSON_KEYS = ("label", "cls", "class", "class_id")  # of the class in a sample's .json, which is read in tars only
MAX_BYTES = 2**20
MAX_CLASSES = 100_000
MAX_NAME = 200  # characters of a class


@dataclass(frozen=True)
class SampleLabels:
    """Labels of images by their names, the names of the classes, and the files that held them."""

    labels: dict[str, int]
    classes: list[str]
    files: set[str]
    note: str


def sample_key(name: str) -> str:
    """What the files of a sample have in common: the path up to the first dot of the file's name."""
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"


def sample_labels(container: Container, images: Sequence[str], companions: Sequence[str]) -> SampleLabels | None:
    """The labels in files beside images; None where there are none.

    Labels are class numbers or names of classes. Where they are neither, `labels` is empty and `note` says so.
    """
    suffixes = [*SUFFIXES, *([JSON] if isinstance(container, Tar | TarSet) else [])]
    images_of: dict[str, set[str]] = defaultdict(set)
    for name in images:
        images_of[sample_key(name)].add(name)
        images_of[name.rpartition(".")[0]].add(name)
    for suffix in suffixes:
        key_of = {name: name[: -len(suffix)] for name in companions if name.lower().endswith(suffix)}
        wanted = {name: sorted(images_of[key]) for name, key in key_of.items() if key in images_of}
        values = _values(container, wanted) if wanted else {}
        if values:
            return _as_labels(values, wanted, suffix, len(images))
    return None


def _values(container: Container, wanted: Collection[str]) -> dict[str, int | str | None]:
    """The label in each companion; None for what is no label. Empty where a .json has none at all."""
    indices = [index for index, name in enumerate(container.names) if name in wanted]
    small = [index for index in indices if container.sizes[index] <= MAX_BYTES]
    values: dict[str, int | str | None] = dict.fromkeys((container.names[index] for index in indices), None)
    for index, content in zip(small, container.contents(small), strict=True):
        name = container.names[index]
        try:
            encoded = content.read_bytes() if isinstance(content, Path) else content
        except OSError:  # a link to what is not there
            continue
        values[name] = _from_json(encoded) if name.lower().endswith(JSON) else _from_text(encoded)
    is_json = next(iter(wanted)).lower().endswith(JSON)
    return {} if is_json and all(value is None for value in values.values()) else values


def _from_text(content: bytes) -> int | str | None:
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        return None
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    return text if 0 < len(text) <= MAX_NAME and text.isprintable() else None


def _from_json(content: bytes) -> int | str | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = next((value[key] for key in JSON_KEYS if key in value), None)
    if type(value) is int:
        return value
    return value if isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable() else None


def _as_labels(
    values: dict[str, int | str | None], images_of: dict[str, list[str]], suffix: str, images: int
) -> SampleLabels:
    found = list(values.values())
    numbers = [value for value in found if isinstance(value, int) and 0 <= value <= MAX_CLASSES]
    names = sorted({value for value in found if isinstance(value, str)})
    if len(numbers) == len(found):
        number_of: dict[int | str | None, int] = {number: number for number in numbers}
        classes = [str(number) for number in range(max(numbers) + 1)]
    elif all(isinstance(value, str) for value in found):
        number_of = {name: number for number, name in enumerate(names)}
        classes = names
    else:
        wrong = next(name for name, value in values.items() if value not in numbers)
        note = f"{suffix} files are no class numbers from 0 to {MAX_CLASSES:,} ({wrong}); no labels are taken from them"
        return SampleLabels({}, [], set(), note)
    labels = {image: number_of[value] for name, value in values.items() for image in images_of[name]}
    note = f"labels of {len(labels):,} of {images:,} images from {suffix} files"
    return SampleLabels(labels, classes, set(values), note)
