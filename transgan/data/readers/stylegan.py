"""Labels in a dataset.json, as StyleGAN's dataset_tool writes it beside images in numbered folders.

Source: https://github.com/NVlabs/stylegan3/blob/main/dataset_tool.py
Content: {"labels": [["00000/img00000000.png", 6], ...]}, or {"labels": null} without labels. Names are relative to the
folder of the dataset.json.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from transgan.data.archives import checks
from transgan.data.archives.containers import Container
from transgan.errors import UserError

NAME = "dataset.json"
MAX_CLASSES = 100_000


@dataclass
class ListedLabels:
    """{image: label} of every dataset.json in a container, these files, and lines about what is wrong in them."""

    labels: dict[str, int] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    plain: bool = True  # one at the root, whose names are spelled as those of the images


def listed_labels(container: Container, images: Collection[str]) -> ListedLabels | None:
    """Return the labels of the dataset.json files in a container; None where there is none.

    Without labels where they list none, or labels that are no classes (vectors, captions), which one line reports.
    Raises UserError when one is damaged.
    """
    listed, known = ListedLabels(), frozenset(images)
    for index, name in enumerate(container.names):
        if name.rpartition("/")[2] == NAME:
            _add(listed, container, index, known)
    return listed if listed.files else None


def _add(listed: ListedLabels, container: Container, index: int, images: frozenset[str]) -> None:
    """Add the labels of one dataset.json. That of another tool is left alone."""
    name = container.names[index]
    checks.check_size(container.path, name, container.sizes[index])
    content = next(iter(container.contents([index])))
    try:
        listing = json.loads(content.read_bytes() if isinstance(content, Path) else content)
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(f"{container.path}: {name} is damaged ({error}); write it again, or remove it") from error
    if not isinstance(listing, dict) or "labels" not in listing:
        return
    listed.files.add(name)
    labels = listing["labels"] or []
    if not isinstance(labels, list) or not all(_is_label(entry) for entry in labels):
        listed.notes.append(
            f"`labels` of {name} are not pairs of a name and a class up to {MAX_CLASSES:,}; the images get no labels"
        )
        return
    folder = name[: -len(NAME)]
    found = {folder + image.replace("\\", "/").removeprefix("./"): label for image, label in labels}
    listed.plain &= not folder and all(image in found for image, _ in labels)
    strange = found.keys() - images
    if strange:
        example = min(strange)[len(folder) :]
        listed.notes.append(f"{len(strange):,} of {len(found):,} labels in {name} belong to no image ({example})")
    listed.labels |= found


def _is_label(entry: object) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and type(entry[1]) is int
        and 0 <= entry[1] <= MAX_CLASSES
    )
