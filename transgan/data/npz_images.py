"""Images in an .npz, as guided-diffusion and other samplers write batches: images or arr_0, and labels as arr_1."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transgan.errors import UserError
from transgan.utils.npz import read_npz

IMAGES = ("images", "arr_0")  # the name in this project's files, and NumPy's for an array without a name
LABELS = ("labels", "arr_1")
MAX_CLASSES = 100_000


def read_images(path: Path) -> NDArray[np.uint8]:
    """Images uint8 (N, H, W, 3) of an .npz, named images or arr_0. Raises UserError when it holds anything else."""
    arrays = read_npz(path)
    name = next((key for key in IMAGES if key in arrays), None)
    if name is None:
        raise UserError(f"{path}: has no array {' or '.join(IMAGES)} of images (it has: {', '.join(sorted(arrays))})")
    images = arrays[name]
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2] or len(images) == 0:
        raise UserError(f"{path}: {name} has shape {images.shape}, must be (N, H, H, 3): squares, channels last")
    if images.dtype != np.uint8:
        raise UserError(
            f"{path}: {name} is {images.dtype}, must be uint8 in 0 ... 255; "
            "convert it yourself, because rounding changes the score"
        )
    if images.max() <= 1:
        raise UserError(f"{path}: {name} has no value above 1, but images must be in 0 ... 255")
    return images


def read_labels(path: Path, count: int) -> NDArray[np.int64]:
    """Labels (count,) beside the images of an .npz, named labels or arr_1; -1 for all where there are none.

    Raises UserError for labels that are no classes of `count` images.
    """
    arrays = read_npz(path, *LABELS)
    labels = next((arrays[key] for key in LABELS if key in arrays), np.full(count, -1))
    fits = labels.shape == (count,) and np.issubdtype(labels.dtype, np.integer)
    if not fits or labels.min() < -1 or labels.max() > MAX_CLASSES:
        raise UserError(f"{path}: its labels must be {count:,} whole numbers from 0 to {MAX_CLASSES:,}; correct them")
    return labels.astype(np.int64)
