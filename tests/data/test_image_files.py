"""Which files are images: the same for `prepare` and `evaluate`, by content, with a count of what is left out."""

import io
import re
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
    **{
        f"{folder}/a.png": encode(pixels(1, 4, 4), "PNG")
        for folder in (
            "RECYCLER",
            "found.000",
            "FOUND.001",
            "~snapshot",
            "Network Trash Folder",
            "sub/Temporary Items",
            "thumbs",
            "sub/Thumbnails",
            ".Trashes",
            ".Spotlight-V100",
            ".fseventsd",
            "System Volume Information",
            ".snapshot",
            ".zfs",
            ".AppleDouble",
            ".git",
            ".dvc",
            ".cache",
        )
    },
    **{
        name: encode(pixels(1, 4, 4), "PNG")
        for name in ("a.png.bak", "a.png.orig", "b.tmp", ".c.png.swp", "~$cat.png", ".~lock.x#", "ehthumbs.db")
    },
}
UNFINISHED = {
    name: encode(pixels(1, 64, 64))[:200]
    for name in (
        "dog.jpg.part",
        "dog.jpg.crdownload",
        "dog.jpg.partial",
        "dog.jpg.!ut",
        "dog.jpg.download/dog.jpg",
        "sub/dog.jpg.aria2",
        ".dog.jpg.Xa81cQ",
        ".syncthing.dog.jpg.tmp",
    )
}


def source(folder: Path, kind: str) -> Path:
    files = {**IMAGES, **COMPANIONS, **LEFTOVERS, **UNFINISHED}
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
        assert f"{len(LEFTOVERS)} leftovers of operating systems and tools (" in text
        assert f"{len(UNFINISHED)} unfinished downloads, whose images may be missing (.dog.jpg.Xa81cQ, " in text


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
    with pytest.raises(
        UserError, match=r"no images in it; left out 1 images of formats that are not read \(1 .*; convert"
    ):
        pack_source(make_plan, path)
    with pytest.raises(
        UserError, match=r"no images in it; left out 1 images of formats that are not read \(1 .*; convert"
    ):
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


def test_a_folder_of_thumbnails_alone_is_a_dataset(make_plan: MakePlan, tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    path.write_bytes(zip_bytes({f"thumbnails/{i}.png": encode(pixels(i, SIDE, SIDE), "PNG") for i in range(3)}))
    assert pack_source(make_plan, path).manifest["count"] == 3
    assert image_sources.from_path(path, None, None, "none").count == 3


@pytest.mark.parametrize(
    "name", ["part.png", "thumbs.png", "recycler.png", "found.0001.png", "bak/a.png", "old/b.png", "part", "a/download"]
)
def test_a_name_that_only_resembles_a_leftover_is_an_image(tmp_path: Path, name: str) -> None:
    path = write_tree(tmp_path / "mine", {name: encode(pixels(1, SIDE, SIDE), "PNG")})
    assert len(select_images(open_container(path)).indices) == 1


def test_a_source_without_images_says_what_was_found(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", {"a.txt": b"x", "b.txt": b"x", "dog.jpg.part": b"x", ".DS_Store": b"x"})
    found = (
        "no images in it; left out 2 files that are no images (2 .txt) and 1 leftovers of operating systems and tools "
        "(.DS_Store) and 1 unfinished downloads, whose images may be missing (dog.jpg.part); "
    )
    with pytest.raises(UserError, match=re.escape(found)):
        pack_source(make_plan, path)
    with pytest.raises(UserError, match=re.escape(found)):
        image_sources.from_path(path, None, None, "none")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("data/train-00000-of-00001.parquet", "a Parquet table"),
        ("images.h5", "an HDF5 file"),
        ("data.mdb", "an LMDB database (only LSUN's is read"),
        ("train.tfrecord", "a TFRecord file"),
        ("a.rar", "an archive"),
    ],
)
def test_containers_that_are_not_read_are_named(make_plan: MakePlan, tmp_path: Path, name: str, kind: str) -> None:
    path = write_tree(tmp_path / "mine", {name: b"x"})
    for read in (lambda: pack_source(make_plan, path), lambda: image_sources.from_path(path, None, None, "none")):
        with pytest.raises(UserError, match=re.escape(f"; 1 of them is {kind}")):
            read()


def test_a_link_to_what_is_not_there_is_named_and_can_be_skipped(
    make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_tree(tmp_path / "mine", {"a.png": encode(pixels(1, SIDE, SIDE), "PNG")})
    (path / "gone.png").symlink_to("elsewhere.png")
    (path / "newest.txt").symlink_to("elsewhere.txt")
    found = r"gone\.png: cannot be read: a link to elsewhere\.png, which is not there; restore it"
    with pytest.raises(UserError, match=found):
        pack_source(make_plan, path)
    with pytest.raises(UserError, match=found):
        image_sources.from_path(path, None, None, "none")
    assert pack_source(make_plan, path, on_error="skip").manifest["skipped"] == 1
    assert "gone.png: a link to elsewhere.png, which is not there; skipped" in capsys.readouterr().err
