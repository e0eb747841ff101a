"""Images in an .npz or an .npy: samples of guided-diffusion, and datasets as NumPy, Keras and MedMNIST save them.

An array of images is told by its type and shape: uint8 (N, H, H, 3), (N, 3, H, H), or grey with one channel or without.
Where several fit, their names decide. Labels are named after them: x and y, data and labels, train_images and
train_labels.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transgan.errors import UserError
from transgan.utils.npz import npz_shapes, open_npy, read_npz

SUFFIXES = (".npz", ".npy")
IMAGES = ("images", "arr_0")  # the name in this project's files, and NumPy's for an array without a name
LABELS = ("labels", "arr_1")
IMAGE_WORDS = frozenset({"images", "image", "imgs", "img", "x", "data", "pixels"})
LABEL_WORDS = frozenset({"labels", "label", "y", "targets", "target", "classes", "class"})
MAX_CLASSES = 100_000

Shapes = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]


def is_array_file(path: Path) -> bool:
    """Whether a path names an .npz or an .npy."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


class ImageArrays:
    """The arrays of an .npz or an .npy. Raises UserError when the file is missing, damaged or holds no images."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._single = open_npy(path) if path.suffix.lower() == ".npy" else None
        single = self._single
        self.shapes: Shapes = npz_shapes(path) if single is None else {path.stem: (single.shape, single.dtype)}

    def images_of(self, part: str) -> str | None:
        """The array of images that is named after a part, such as train_images or x_train; None without one."""
        named = [name for name in self._fitting() if part in _words(name)]
        return self._one_of(named) if named else None

    def images_name(self) -> str:
        """The array of images. Raises UserError where there is none, or several whose names do not decide."""
        name = next((name for name in IMAGES if name in self.shapes), None)
        if name is not None or self._single is not None:
            return name or self.path.stem
        if not self.shapes:
            raise UserError(f"{self.path}: has no arrays; save images in it")
        fitting = self._fitting()
        if fitting:
            return self._one_of(fitting)
        named = [name for name in self.shapes if _words(name) & IMAGE_WORDS]
        if named:
            return named[0]  # refused with the reason when it is read
        raise UserError(f"{self.path}: has no array of images, uint8 (N, H, H, 3) (it has: {self._listed()})")

    def images(self, name: str) -> NDArray[np.uint8]:
        """Images uint8 (N, H, H, 3), also where they are stored in another order or grey. An .npy is mapped."""
        images = self._single if self._single is not None else read_npz(self.path, name)[name]
        kind = _order(images.shape)
        if kind is None:
            raise UserError(
                f"{self.path}: {name} has shape {images.shape}, must be (N, H, H, 3) or (N, 3, H, H): squares"
            )
        if images.dtype != np.uint8:
            raise UserError(
                f"{self.path}: {name} is {images.dtype}, must be uint8 in 0 ... 255; "
                "convert it yourself, because rounding changes the score"
            )
        if images.max() <= 1:
            raise UserError(f"{self.path}: {name} has no value above 1, but images must be in 0 ... 255")
        if kind == "grey":
            images = images[..., None]
        elif kind == "channels first":
            images = images.transpose(0, 2, 3, 1)
        return np.broadcast_to(images, (*images.shape[:3], 3))

    def labels_name(self, images: str) -> str | None:
        """The array of labels that belongs to an array of images; None without one."""
        if images in IMAGES:
            return next((name for name in LABELS if name in self.shapes), None)
        part = _words(images) - IMAGE_WORDS
        named = [name for name in self.shapes if (words := _words(name)) & LABEL_WORDS and words - LABEL_WORDS == part]
        return next((name for name in LABELS if name in named), named[0]) if named else None

    def labels(self, name: str | None, count: int) -> NDArray[np.int64]:
        """Labels int64 (count,): numbers (N,) or (N, 1), or one-hot (N, classes); -1 for all without a name.

        Raises UserError for labels that are no classes of `count` images.
        """
        if name is None:
            return np.full(count, -1)
        labels = read_npz(self.path, name)[name]
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        elif labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all():
            labels = labels.argmax(1)
        fits = labels.shape == (count,) and np.issubdtype(labels.dtype, np.integer)
        if not fits or labels.min() < -1 or labels.max() > MAX_CLASSES:
            raise UserError(
                f"{self.path}: its labels must be {count:,} whole numbers from 0 to {MAX_CLASSES:,}, or one-hot; "
                "correct them"
            )
        return labels.astype(np.int64)

    def _fitting(self) -> list[str]:
        """The arrays of images: those in colour if there are any, otherwise the grey ones."""
        orders = {name: _order(shape) for name, (shape, dtype) in self.shapes.items() if dtype == np.uint8}
        fitting = [name for name, order in orders.items() if order is not None]
        return [
            name for name in fitting if 3 in self.shapes[name][0][1::2] and len(self.shapes[name][0]) == 4
        ] or fitting

    def _one_of(self, fitting: list[str]) -> str:
        named = [name for name in fitting if _words(name) & IMAGE_WORDS] if len(fitting) > 1 else fitting
        if len(named) != 1:
            raise UserError(
                f"{self.path}: several arrays may be the images ({', '.join(sorted(named or fitting))}); "
                "name one of them `images`"
            )
        return named[0]

    def _listed(self) -> str:
        return ", ".join(f"{name} {dtype} {shape}" for name, (shape, dtype) in sorted(self.shapes.items()))


def read_images(path: Path) -> NDArray[np.uint8]:
    """Images uint8 (N, H, H, 3) of an .npz or an .npy. Raises UserError when it holds anything else."""
    arrays = ImageArrays(path)
    return arrays.images(arrays.images_name())


def _order(shape: tuple[int, ...]) -> str | None:
    """The order of the axes of an array of images; None for another array."""
    if 0 in shape:
        return None
    if len(shape) == 4 and shape[1] == shape[2] and shape[3] in (1, 3):
        return "channels last" if shape[3] == 3 else "one channel"
    if len(shape) == 4 and shape[2] == shape[3] and shape[1] in (1, 3):
        return "channels first"
    return "grey" if len(shape) == 3 and shape[1] == shape[2] else None


def _words(name: str) -> frozenset[str]:
    """The words of an array's name: train and x for train_x, x_train or trainX."""
    return frozenset(word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name))
