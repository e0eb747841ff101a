"""Decoding, cropping and resizing one image, and images that are refused."""

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from torchvision.transforms import v2

from tests.data.sample_archives import encode, pixels
from transgan.data.transforms import CropAndResize, ImageError, crop_box


def png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_an_image_of_the_target_size_stays_as_pillow_decodes_it(kind: str) -> None:
    encoded = encode(pixels(1, 16, 16), kind)
    expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    np.testing.assert_array_equal(CropAndResize(16, "lanczos", "none")(encoded), expected)


@pytest.mark.parametrize(
    ("resize", "mode"), [("bilinear", v2.InterpolationMode.BILINEAR), ("bicubic", v2.InterpolationMode.BICUBIC)]
)
def test_resize_matches_torchvision_on_pil_images(resize: str, mode: v2.InterpolationMode) -> None:
    """The released code squashes with Resize((256, 256)), and uses CenterCrop(148) and Resize for CelebA."""
    image = pixels(2, 218, 178)
    squashed = v2.Resize((64, 64), interpolation=mode)(Image.fromarray(image))
    np.testing.assert_array_equal(CropAndResize(64, resize, "none")(image), np.asarray(squashed))
    face = v2.Compose([v2.CenterCrop(148), v2.Resize((64, 64), interpolation=mode)])(Image.fromarray(image))
    np.testing.assert_array_equal(CropAndResize(64, resize, "face148")(image), np.asarray(face))


def test_resize_is_antialiased() -> None:
    """A fine checkerboard becomes its mean, not one of its colours."""
    board = np.zeros((64, 64, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    for resize in ("lanczos", "bicubic", "bilinear", "box"):
        shaped = CropAndResize(8, resize, "none")(board)
        assert abs(shaped.astype(int) - 127).max() <= 3, resize


@pytest.mark.parametrize(
    ("crop", "size", "box"),
    [
        ("none", (178, 218), None),
        ("center", (300, 200), (50, 0, 250, 200)),
        ("center", (200, 200), None),
        ("face148", (178, 218), (15, 35, 163, 183)),
        ("face108", (178, 218), (35, 55, 143, 163)),
        ("face128", (178, 218), (25, 57, 153, 185)),
    ],
)
def test_crop_boxes(crop: str, size: tuple[int, int], box: tuple[int, ...] | None) -> None:
    assert crop_box(crop, *size) == box


def test_a_face_crop_needs_enough_pixels() -> None:
    with pytest.raises(ImageError, match="too few for the crop face148"):
        CropAndResize(64, "bilinear", "face148")(pixels(1, 100, 100))


def test_every_mode_becomes_rgb() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    transform = CropAndResize(8, "box", "none")
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(transform(png(Image.fromarray(grey))), expected)
    deep_grey = png(Image.fromarray(grey.astype(np.uint16) * 257))
    np.testing.assert_array_equal(transform(deep_grey), expected)  # 16 bits are scaled, not clipped
    transparent = Image.fromarray(np.dstack([expected, np.full_like(grey, 7)]), "RGBA")
    np.testing.assert_array_equal(transform(png(transparent)), expected)
    palette = Image.fromarray(expected).quantize(64)
    np.testing.assert_array_equal(transform(png(palette, transparency=3)), np.asarray(palette.convert("RGB")))


def test_exif_rotation_is_applied() -> None:
    image = Image.fromarray(pixels(3, 20, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 270 degrees
    shaped = CropAndResize(10, "box", "center")(png(image, exif=exif))
    np.testing.assert_array_equal(shaped, np.asarray(image.rotate(270, expand=True).crop((5, 0, 15, 10))))


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def oriented(place: str, image: Image.Image) -> bytes:
    """An encoded image with orientation 6, to be turned by 270 degrees, in one of the places that tools use."""
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    if place == "EXIF in a JPEG":
        return encoded(image, "JPEG", exif=exif, quality=100, subsampling=0)
    if place == "EXIF in a WebP":
        return encoded(image, "WEBP", exif=exif, lossless=True)
    if place == "XMP in a JPEG":
        return encoded(image, "JPEG", xmp=xmp.encode(), quality=100, subsampling=0)
    if place == "XMP in a WebP":
        return encoded(image, "WEBP", xmp=xmp.encode(), lossless=True)
    if place == "a tag in a TIFF":
        return encoded(image, "TIFF", tiffinfo={0x0112: 6})
    text = PngImagePlugin.PngInfo()
    if place == "XMP in a PNG":
        text.add_itxt("XML:com.adobe.xmp", xmp)
    if place == "ImageMagick's text in a PNG":
        raw = exif.tobytes()
        text.add_text("Raw profile type exif", f"\nexif\n{len(raw):8}\n{raw.hex()}\n", zip=True)
    content = encoded(image, "PNG", pnginfo=text)
    if place == "EXIF after the pixels of a PNG":
        end = content.rindex(b"IEND") - 4
        content = content[:end] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + content[end:]
    return content


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.faults
@pytest.mark.parametrize(
    "place",
    [
        "EXIF in a JPEG",
        "EXIF in a WebP",
        "EXIF after the pixels of a PNG",
        "XMP in a JPEG",
        "XMP in a PNG",
        "XMP in a WebP",
        "ImageMagick's text in a PNG",
        "a tag in a TIFF",
    ],
)
def test_the_orientation_is_applied_wherever_it_is_stored(place: str) -> None:
    image = Image.fromarray(pixels(3, 20, 10))
    shaped = CropAndResize(10, "box", "center")(oriented(place, image))
    expected = np.asarray(image.rotate(270, expand=True).crop((5, 0, 15, 10)))
    np.testing.assert_allclose(shaped.astype(int), expected, atol=12 if "JPEG" in place else 0)


@pytest.mark.faults
@pytest.mark.parametrize("content", [b"Exif\0\0garbage", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\xff\xff\xff\xff", b""])
def test_a_damaged_exif_block_is_no_traceback(content: bytes) -> None:
    whole = encode(pixels(3, 10, 10), "PNG")
    end = whole.rindex(b"IEND") - 4
    with suppress(ImageError):
        CropAndResize(10, "box", "none")(whole[:end] + chunk(b"eXIf", content) + whole[end:])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not an image"),
        (encode(pixels(1, 64, 64))[:-200], "truncated"),
        (encode(pixels(1, 64, 64), "PNG")[:-200], "truncated"),
        (encode(pixels(1, 64, 64), "WEBP")[:-20], "."),
        (encode(pixels(1, 8, 8), "GIF"), "a GIF image, which is not read; convert it"),
        (b"\x93NUMPY\x01\x00", "damaged .npy"),
    ],
)
def test_undecodable_images_name_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        CropAndResize(8, "box", "none")(content)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = png(Image.new("1", (10_000, 10_000)))
    assert len(bomb) < 50_000
    with pytest.raises(ImageError, match="10000 x 10000 pixels are more than"):
        CropAndResize(8, "box", "none")(bomb)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        CropAndResize(8, "box", "none")(tmp_path / "gone.png")


@pytest.mark.parametrize("layout", [(0, 1, 2), (2, 0, 1)])
def test_npy_files(layout: tuple[int, ...]) -> None:
    image = pixels(4, 8, 8)
    buffer = io.BytesIO()
    np.save(buffer, image.transpose(layout))
    np.testing.assert_array_equal(CropAndResize(8, "box", "none")(buffer.getvalue()), image)
    batch = io.BytesIO()
    np.save(batch, image.transpose(2, 0, 1)[None])
    np.testing.assert_array_equal(CropAndResize(8, "box", "none")(batch.getvalue()), image)


def test_npy_files_without_an_image_are_refused() -> None:
    for array in (np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.array([{}], dtype=object)):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        with pytest.raises(ImageError, match="npy"):
            CropAndResize(8, "box", "none")(buffer.getvalue())
