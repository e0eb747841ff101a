"""Which files are images: the same for `prepare` and `evaluate`, by content, with a count of what is left out."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import MakePlan
from tests.data.readers.helpers import pack_source, write_tree
from tests.data.sample_archives import encode, pixels, tar_bytes, zip_bytes
from transgan.data.archives.containers import open_container
from transgan.data.image_files import select_images
from transgan.data.image_formats import HEAD_BYTES, image_format
from transgan.errors import UserError
from transgan.metrics import image_sources

pytestmark = pytest.mark.faults

SIDE = 12
# The formats that are read, under the usual suffixes and under none.
READ = {
    "JPEG": (".jpg", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif",),
    "PPM": (".ppm",),
}
IMAGES = {
    **{
        f"{kind}{suffix}": encode(pixels(1, SIDE, SIDE), kind) for kind, suffixes in READ.items() for suffix in suffixes
    },
    **{f"without-suffix-{kind}": encode(pixels(2, SIDE, SIDE), kind) for kind in READ},
    "unusual.img": encode(pixels(3, SIDE, SIDE), "PNG"),
    "UPPER.PNG": encode(pixels(4, SIDE, SIDE), "PNG"),
}
COMPANIONS = {
    "captions/0001.txt": b"a photo of a cat",
    "labels.json": b"{}",
    "meta.csv": b"name,label\n",
    "labels.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }",
    "0001.cls": b"3",
    "LICENSE": b"all rights",
    "film.mp4": b"\0\0\0\x18ftypmp42",
    "empty": b"",
    "page.html": b"<html>",
    "list.xml": b"<?xml",
}
LEFTOVERS = {
    ".DS_Store": b"x",
    "._a.png": encode(pixels(1, 4, 4), "PNG"),
    "Thumbs.db": b"x",
    "thumbs.db": b"x",
    "desktop.ini": b"x",
    "Desktop.ini": b"x",
    "@eaDir/a.png/SYNOFILE_THUMB_M.jpg": encode(pixels(1, 4, 4)),
    "#recycle/b.png": encode(pixels(1, 4, 4), "PNG"),
    "__MACOSX/._a.png": b"x",
    ".ipynb_checkpoints/a.png": encode(pixels(1, 4, 4), "PNG"),
    "$RECYCLE.BIN/a.png": encode(pixels(1, 4, 4), "PNG"),
    "lost+found/a.png": encode(pixels(1, 4, 4), "PNG"),
    "a.png~": encode(pixels(1, 4, 4), "PNG"),
}


def source(folder: Path, kind: str) -> Path:
    files = {**IMAGES, **COMPANIONS, **LEFTOVERS}
    path = folder / f"source.{kind}"
    if kind == "tree":
        return write_tree(path, files)
    path.write_bytes(zip_bytes(files) if kind == "zip" else tar_bytes(files, f"w:{kind[4:]}"))
    return path


@pytest.mark.parametrize("kind", ["tree", "zip", "tar", "tar.gz"])
def test_prepare_and_evaluate_take_the_same_images_and_say_what_is_left_out(
    make_plan: MakePlan, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source(tmp_path, kind)
    packed = pack_source(make_plan, path)
    shown = capsys.readouterr().err
    assert packed.manifest["count"] == len(IMAGES)
    assert packed.manifest["classes"] == []
    assert image_sources.from_path(path, None, None, "none").count == len(IMAGES)
    for text in (shown, capsys.readouterr().err):
        assert f"{len(IMAGES)} images; left out {len(COMPANIONS)} files that are no images (" in text
        assert "leftovers of operating systems and tools" in text


# First bytes of images that this Pillow may not write.
UNREAD = {
    "HEIF or AVIF": b"\0\0\0\x18ftypheic" + bytes(100),
    "Photoshop": b"8BPS" + bytes(100),
    "JPEG XL": b"\xff\x0a" + bytes(100),
}


@pytest.mark.parametrize("kind", ["GIF", "AVIF", "JPEG2000", "ICO", *UNREAD])
def test_an_image_of_a_format_that_is_not_read_is_left_out_and_counted_by_both(
    make_plan: MakePlan, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        content = UNREAD.get(kind) or encode(pixels(1, 16, 16), kind)
    except (OSError, KeyError):
        pytest.skip(f"this Pillow does not write {kind}")
    path = write_tree(tmp_path / "mine", {"a.png": encode(pixels(1, SIDE, SIDE), "PNG"), "b.other": content})
    if image_format(content[:HEAD_BYTES]) is None:  # an icon of a web page
        assert select_images(open_container(path)).left_out == {".other": 1}
        return
    assert pack_source(make_plan, path).manifest["count"] == 1
    packing = capsys.readouterr().err
    assert image_sources.from_path(path, None, None, "none").count == 1
    for text in (packing, capsys.readouterr().err):
        assert "1 images; left out 1 images of formats that are not read (1 " in text
        assert "; convert them to PNG)" in text
    (path / "a.png").unlink()
    with pytest.raises(UserError, match=r"no images that are read \(1 .*; convert them to PNG\)"):
        pack_source(make_plan, path)
    with pytest.raises(UserError, match=r"no images that are read \(1 .*; convert them to PNG\)"):
        image_sources.from_path(path, None, None, "none")


def test_another_format_under_the_suffix_of_an_image_is_named(make_plan: MakePlan, tmp_path: Path) -> None:
    gif = encode(pixels(1, 16, 16), "GIF")
    path = write_tree(tmp_path / "mine", {"a.png": encode(pixels(1, SIDE, SIDE), "PNG"), "b.jpg": gif})
    with pytest.raises(UserError, match=r"b\.jpg: a GIF image, which is not read; convert it"):
        pack_source(make_plan, path)
    with pytest.raises(UserError, match=r"b\.jpg: a GIF image, which is not read; convert it"):
        list(image_sources.from_path(path, None, None, "none").batches(2))


def test_damage_under_the_suffix_of_an_image_is_not_left_out(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", {"a.png": encode(pixels(1, SIDE, SIDE), "PNG"), "b.bmp": b"<html>"})
    with pytest.raises(UserError, match=r"b\.bmp: not an image"):
        pack_source(make_plan, path)
    with pytest.raises(UserError, match=r"b\.bmp: not an image"):
        list(image_sources.from_path(path, None, None, "none").batches(2))


def test_lossy_images_are_known_by_their_content(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", {"a.png": encode(pixels(1, SIDE, SIDE), "JPEG")})
    assert image_sources.from_path(path, None, None, "none").lossy
    path = write_tree(tmp_path / "other", {"a.jpg": encode(pixels(1, SIDE, SIDE), "BMP")})
    assert not image_sources.from_path(path, None, None, "none").lossy


@pytest.mark.parametrize(
    ("shape", "known"), [((8, 9, 3), True), ((3, 8, 9), True), ((1, 3, 8, 9), True), ((8, 3), False)]
)
def test_an_array_file_is_an_image_if_it_has_the_shape_of_one(shape: tuple[int, ...], known: bool) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(shape, np.uint8))
    assert (image_format(buffer.getvalue()[:HEAD_BYTES]) == "NPY") == known


def test_every_format_that_is_read_opens(tmp_path: Path) -> None:
    for kind in READ:
        content = encode(pixels(1, SIDE, SIDE), kind)
        assert image_format(content[:HEAD_BYTES]) == kind
        assert Image.open(io.BytesIO(content)).format == kind
