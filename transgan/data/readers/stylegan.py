"""Labels in a dataset.json, as StyleGAN's dataset_tool writes it beside images in numbered folders.

Source: https://github.com/NVlabs/stylegan3/blob/main/dataset_tool.py
Content: {"labels": [["00000/img00000000.png", 6], ...]}, or {"labels": null} without labels.
"""

import json
import logging
from pathlib import Path

from transgan.data.archives import checks
from transgan.data.archives.containers import Container
from transgan.errors import UserError

logger = logging.getLogger(__name__)

NAME = "dataset.json"
MAX_CLASSES = 100_000


def listed_labels(container: Container) -> dict[str, int] | None:
    """Return {image: label} of the dataset.json at the root of a container, None where there is none.

    Empty where it lists no labels, or labels that are no classes (vectors, captions), which one line reports. Raises
    UserError when it is damaged.
    """
    if NAME not in container.names:
        return None
    index = container.names.index(NAME)
    checks.check_size(container.path, NAME, container.sizes[index])
    content = next(iter(container.contents([index])))
    try:
        listing = json.loads(content.read_bytes() if isinstance(content, Path) else content)
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(f"{container.path}: {NAME} is damaged ({error}); write it again, or remove it") from error
    if not isinstance(listing, dict) or "labels" not in listing:
        return None  # of another tool
    labels = listing["labels"] or []
    if not isinstance(labels, list) or not all(_is_label(entry) for entry in labels):
        logger.warning(
            f"{container.path}: `labels` of {NAME} are not pairs of a name and a class from 0 to {MAX_CLASSES:,}; "
            "the images get no labels"
        )
        return {}
    return dict(labels)


def _is_label(entry: object) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and type(entry[1]) is int
        and 0 <= entry[1] <= MAX_CLASSES
    )
