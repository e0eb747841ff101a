"""One picture: from encoded bytes or an array to a square uint8 RGB array, cropped and resized the one way its dataset says."""

import io
import threading
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from transgan.schema import DatasetConfig  # worker processes start without it

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 64_000_000  # decoded: 256 MB in Pillow; more is a decompression bomb or belongs to no dataset of ours
LARGE_PIXELS = 8_000_000

NUMPY = b"\x93NUMPY"

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
}

Box = tuple[int, int, int, int]  # left, upper, right, lower

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is stricter, and an error

_large: AbstractContextManager[Any] = threading.Lock()  # large pictures are decoded one at a time, which bounds memory


def take_turns(lock: AbstractContextManager[Any]) -> None:
    """From now on this process decodes large pictures only while it holds `lock`, which other processes share."""
    global _large
    _large = lock


class ImageError(Exception):
    """A picture that cannot be used; says why in a few words."""


Picture = bytes | np.ndarray | Path  # encoded, an array, or where there is either


@dataclass(frozen=True)
class CropAndResize:
    """The crop and resize of a dataset."""

    resolution: int
    resize: str
    crop: str

    @staticmethod
    def from_config(config: "DatasetConfig") -> "CropAndResize":
        """The crop and resize that a dataset's configuration asks for."""
        return CropAndResize(config.resolution, config.resize, config.crop)

    def __call__(self, content: Picture, box: Box | None = None) -> np.ndarray:
        """Decode (unless an array), crop, resize: uint8 (resolution, resolution, 3).

        `content` is an encoded picture, the path of one, or a uint8 (H, W, 3) array; `box` is a crop that the reader found, used before the
        dataset's own. Resizing is Pillow's, antialiased, after the crop, as torchvision's transforms do it to PIL pictures. Raises ImageError.
        """
        if isinstance(content, np.ndarray):
            return self._fit(content, box)
        encoded = content if isinstance(content, bytes) else _read(content)
        if not encoded:
            raise ImageError("empty file")
        if encoded.startswith(NUMPY):
            return self._fit(_array(encoded), box)
        try:
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
                pixels = image.width * image.height
                if pixels > MAX_PIXELS:
                    raise ImageError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
                if pixels > LARGE_PIXELS:
                    with _large:
                        return self._fit(_rgb(image), box)
                return self._fit(_rgb(image), box)
        except UnidentifiedImageError:
            raise ImageError("not a JPEG, PNG or WebP picture") from None
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise ImageError(" ".join(str(error).split()) or "cannot be decoded") from error

    def _fit(self, image: Image.Image | np.ndarray, box: Box | None) -> np.ndarray:
        height, width = image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)
        box = box or crop_box(self.crop, width, height)
        size = (self.resolution, self.resolution)
        if box is None and (width, height) == size:
            return np.asarray(image)
        picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        if box is not None:
            picture = picture.crop(box)  # not resize(box=...): that lets pixels outside the box into its edge
        return np.asarray(picture.resize(size, FILTERS[self.resize]))


def crop_box(crop: str, width: int, height: int) -> Box | None:
    """The box of a named crop in a picture of `width` x `height`; None: the whole picture. Raises ImageError when it does not fit in.

    center: the largest centred square. face148: CelebA's aligned faces, the centred 148-pixel square; face108: the same with 108 (DCGAN);
    face128: 128 pixels around (89, 121) (Progressive GAN).
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
        raise ImageError(error.strerror or str(error)) from error


def _array(encoded: bytes) -> np.ndarray:
    """The picture in a .npy file: bytes of shape (H, W, 3), (3, H, W) or (1, 3, H, W), as Progressive GAN's tools write them."""
    try:
        pixels = np.asarray(np.lib.format.read_array(io.BytesIO(encoded), allow_pickle=False))
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise ImageError(f"damaged .npy file ({' '.join(str(error).split())})") from error
    if pixels.ndim == 4 and len(pixels) == 1:
        pixels = pixels[0]
    if pixels.ndim == 3 and pixels.shape[0] == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError(f"a .npy array of {pixels.dtype} {pixels.shape}, not bytes of one RGB picture")
    return np.ascontiguousarray(pixels)


def _rgb(image: Image.Image) -> Image.Image:
    """As upright 8-bit RGB; 16-bit grey is scaled (Pillow would clip it), transparency is dropped."""
    if "exif" in image.info:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
