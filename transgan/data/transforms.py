"""Decode an image, crop it and resize it: from encoded bytes or an array to a square uint8 RGB array."""

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from transgan.data.image_formats import FORMATS, HEAD_BYTES, image_format
from transgan.utils import files
from transgan.utils.npz import MAGIC, read_array

if TYPE_CHECKING:
    from transgan.schema import DatasetConfig  # not at run time: worker processes start faster without pydantic

MAX_PIXELS = 64_000_000  # decoded: 256 MB in Pillow; a larger image is a decompression bomb or in no known dataset
LARGE_PIXELS = 8_000_000  # a larger image is decoded only while its process holds the lock

# What Pillow raises for damaged images and for damaged descriptions in them, such as EXIF.
DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    struct.error,
    Image.DecompressionBombError,
)

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
}

Box = tuple[int, int, int, int]  # left, upper, right, lower

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is stricter, and an error

# Large images are decoded one at a time, which bounds memory.
_large_image_lock: AbstractContextManager[Any] = threading.Lock()


def set_large_image_lock(lock: AbstractContextManager[Any]) -> None:
    """Make this process hold `lock`, which other processes share, while it decodes a large image."""
    global _large_image_lock
    _large_image_lock = lock


class ImageError(Exception):
    """An image that cannot be used. The message is a short reason."""


ImageInput = bytes | np.ndarray | Path  # an encoded image, a uint8 (H, W, 3) array, or the path of an encoded image


@dataclass(frozen=True)
class CropAndResize:
    """The crop and resize of a dataset, as a callable on one image."""

    resolution: int
    resize: str
    crop: str

    @staticmethod
    def from_config(config: "DatasetConfig") -> "CropAndResize":
        """Return the crop and resize that a dataset's configuration asks for."""
        return CropAndResize(config.resolution, config.resize, config.crop)

    def __call__(self, content: ImageInput, box: Box | None = None) -> np.ndarray:
        """Decode `content` unless it is an array, crop it, then resize it: uint8 (resolution, resolution, 3).

        `box`, a crop that the reader chose for this image, replaces the dataset's own crop. Pillow resizes, with
        antialiasing, as torchvision's transforms do with PIL images. Raises ImageError.
        """
        if isinstance(content, np.ndarray):
            return self._fit(content, box)
        encoded = content if isinstance(content, bytes) else _read(content)
        if not encoded:
            raise ImageError("empty file")
        if encoded.startswith(MAGIC):
            return self._fit(_npy_array(encoded), box)
        with _opened(encoded) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise ImageError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
            if pixels > LARGE_PIXELS:
                with _large_image_lock:
                    return self._fit(_rgb(image), box)
            return self._fit(_rgb(image), box)

    def _fit(self, image: Image.Image | np.ndarray, box: Box | None) -> np.ndarray:
        """Crop and resize a decoded image."""
        height, width = image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)
        box = box or crop_box(self.crop, width, height)
        size = (self.resolution, self.resolution)
        if box is None and (width, height) == size:
            return np.asarray(image)
        pil_image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        if box is not None:
            # Not resize(box=...), which lets pixels outside the box into its edge.
            pil_image = pil_image.crop(box)
        return np.asarray(pil_image.resize(size, FILTERS[self.resize]))


def crop_box(crop: str, width: int, height: int) -> Box | None:
    """Return the box of a named crop in an image of `width` x `height`, or None for the whole image.

    center: the largest centred square. The others are for CelebA's aligned faces. face148: the centred 148-pixel
    square. face108: the centred 108-pixel square (DCGAN). face128: 128 pixels around (89, 121) (Progressive GAN).
    Raises ImageError when the box does not fit.
    """
    if crop == "none":
        return None
    side = min(width, height) if crop == "center" else int(crop.removeprefix("face"))
    left, upper = ((width - side) // 2, (height - side) // 2) if crop != "face128" else (89 - 64, 121 - 64)
    if left < 0 or upper < 0 or left + side > width or upper + side > height:
        raise ImageError(f"{width} x {height} pixels are too few for the crop {crop}")
    return None if (side, side) == (width, height) else (left, upper, left + side, upper + side)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(files.read_failure(path, error)) from error


def image_size(content: bytes | Path) -> tuple[int, int]:
    """Width and height of an encoded image, without decoding it. Raises ImageError."""
    encoded = content if isinstance(content, bytes) else _read(content)
    if encoded.startswith(MAGIC):
        height, width = _npy_array(encoded).shape[:2]
        return width, height
    with _opened(encoded) as image:
        return image.size


@contextmanager
def _opened(encoded: bytes) -> Iterator[Image.Image]:
    """Open an encoded image. Errors inside the context, of whatever Pillow does with it, become ImageError."""
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            yield image
    except UnidentifiedImageError:
        other = image_format(encoded[:HEAD_BYTES])
        unread = other is not None and other not in FORMATS
        reason = f"a {other} image, which is not read; convert it, for example to PNG" if unread else "not an image"
        raise ImageError(reason) from None
    except DECODING_ERRORS as error:
        raise ImageError(" ".join(str(error).split()) or "cannot be decoded") from error


def _npy_array(encoded: bytes) -> np.ndarray:
    """Return the uint8 (H, W, 3) array of a .npy file that holds one RGB image.

    Progressive GAN's tools write shapes (H, W, 3), (3, H, W) and (1, 3, H, W). Raises ImageError for any other array.
    """
    try:
        pixels = read_array(encoded)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise ImageError(f"damaged .npy file ({' '.join(str(error).split())})") from error
    if pixels.ndim == 4 and len(pixels) == 1:
        pixels = pixels[0]
    if pixels.ndim == 3 and pixels.shape[0] == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError(f"a .npy array of {pixels.dtype} {pixels.shape}, not bytes of one RGB image")
    return np.ascontiguousarray(pixels)


def _rgb(image: Image.Image) -> Image.Image:
    """Convert to upright 8-bit RGB. Scales 16-bit grey, which Pillow would clip, and drops transparency."""
    ImageOps.exif_transpose(image, in_place=True)  # it knows every place in which files store an orientation
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
