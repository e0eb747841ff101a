"""The formats of images: which are read, and how a file's first bytes tell them."""

import re

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")  # Pillow's names of those that are read
PIXEL_ARRAY = "NPY"  # read as well: one RGB image as Progressive GAN's tools write it
LOSSY = ("JPEG", "WEBP")
HEAD_BYTES = 160  # that `image_format` needs, at most: the shape in the header of a .npy file

# Other formats are recognized, so that their images are named when they are left out.
_BEGINNINGS = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("WEBP", rb"RIFF....WEBP"),
    ("BMP", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
    ("TIFF", rb"II[*+]\0|MM\0[*+]"),
    ("PPM", rb"P[1-6]\s+[\d#]"),
    ("GIF", rb"GIF8[79]a"),
    ("HEIF or AVIF", rb".{4}ftyp(hei[cxms]|hev[cx]|mif1|msf1|avi[fs])"),
    ("JPEG 2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    ("JPEG XL", rb"\0\0\0\x0cJXL |\xff\x0a"),
    ("Photoshop", rb"8BPS"),
    # An array of another shape holds labels or features.
    (PIXEL_ARRAY, rb"\x93NUMPY.{4,6}\{'descr': '\|u1',.*'shape': \(((1, )?3, \d+, \d+|\d+, \d+, 3)\)"),
)
_PATTERNS = tuple((name, re.compile(pattern, re.DOTALL)) for name, pattern in _BEGINNINGS)


def image_format(beginning: bytes) -> str | None:
    """The format of the image that begins with these bytes; None if it is no image."""
    return next((name for name, pattern in _PATTERNS if pattern.match(beginning)), None)
