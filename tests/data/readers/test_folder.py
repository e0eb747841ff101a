"""A user's own images: layouts, images that cannot be read, and counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.conftest import MakePlan
from tests.data.readers.helpers import TRAIN, pack_source, png_files, write_tree
from tests.data.sample_archives import encode, pixels, tar_bytes, zip_bytes
from transgan.errors import UserError

BOTH = [{"name": "train", "count": 4}, {"name": "test", "count": 2}]


LAYOUT = {
    f"{split}/{kind}/{i}.png": 10 * i + len(kind) + len(split)
    for split, n in (("train", 2), ("test", 1))
    for kind in ("cat", "horse")
    for i in range(n)
}


@pytest.mark.parametrize("kind", ["tree", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("wrapped", ["", "images/"])
def test_split_and_class_folders_in_any_container(make_plan: MakePlan, tmp_path: Path, kind: str, wrapped: str) -> None:
    files = {wrapped + name: content for name, content in reversed(png_files(LAYOUT).items())}
    files |= {f"{wrapped}.DS_Store": b"junk", "__MACOSX/x": b"junk"}
    path = tmp_path / f"source.{kind}"
    if kind == "tree":
        write_tree(path, files)
    else:
        path.write_bytes(zip_bytes(files) if kind == "zip" else tar_bytes(files, f"w:{kind[4:]}"))
    packed = pack_source(make_plan, path, BOTH)
    assert packed.manifest["splits"] == {"train": [0, 4], "test": [4, 6]}
    assert packed.manifest["classes"] == ["cat", "horse"]
    assert packed.labels.tolist() == [0, 0, 1, 1, 0, 1]
    expected = [
        LAYOUT[f"{split}/{kind}/{i}.png"]
        for split, n in (("train", 2), ("test", 1))
        for kind in ("cat", "horse")
        for i in range(n)
    ]
    np.testing.assert_array_equal(packed.images, np.stack([pixels(seed, 12, 12) for seed in expected]))
    np.testing.assert_array_equal(packed.rows(["test", "train"]), [4, 5, 0, 1, 2, 3])


def test_class_folders_without_splits(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", png_files({"b/deep/1.png": 1, "a/2.png": 2, "loose.png": 3}))
    packed = pack_source(make_plan, path)
    assert packed.manifest["classes"] == ["a", "b"]
    assert packed.labels.tolist() == [0, 1, -1]


def test_a_split_may_join_folders_and_omit_others(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", png_files({"train/1.png": 1, "valid/2.png": 2, "test/3.png": 3}))
    packed = pack_source(make_plan, path, [{"name": "train", "parts": ["train", "valid"], "count": 2}])
    np.testing.assert_array_equal(packed.images, np.stack([pixels(1, 12, 12), pixels(2, 12, 12)]))


def test_links_are_followed_once(make_plan: MakePlan, tmp_path: Path) -> None:
    write_tree(tmp_path / "elsewhere", png_files({"1.png": 1}))
    path = write_tree(tmp_path / "mine", png_files({"a/2.png": 2}))
    (path / "b").symlink_to(tmp_path / "elsewhere")
    (path / "a" / "loop").symlink_to(path)
    assert pack_source(make_plan, path).labels.tolist() == [0, 1]


BAD = {
    "bad/broken.jpg": encode(pixels(1, 64, 64))[:-300],
    "bad/empty.png": b"",
    "bad/notes.txt": b"these are my images",
    "bad/liar.png": b"GIF89a",
}


def test_unreadable_images_are_named(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", png_files({f"good/{i}.png": i for i in range(70)}) | BAD)
    with pytest.raises(UserError) as error:
        pack_source(make_plan, path)
    message = str(error.value)
    assert "\n" not in message
    assert "4 of 74 images cannot be read" in message
    for name in BAD:
        assert name in message
    assert "on_error: skip" in message


def test_unreadable_images_can_be_skipped(
    make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_tree(tmp_path / "mine", png_files({f"good/{i:02d}.png": i for i in range(70)}) | BAD)
    packed = pack_source(make_plan, path, on_error="skip")
    assert packed.manifest["count"] == 70
    assert packed.manifest["skipped"] == 4
    assert "4 of 74 images cannot be read" in capsys.readouterr().err
    np.testing.assert_array_equal(packed.images, np.stack([pixels(i, 12, 12) for i in range(70)]))


def test_a_fixed_image_is_packed(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", png_files({"a.png": 1}) | {"b.png": b"broken"})
    with pytest.raises(UserError, match=r"b\.png"):
        pack_source(make_plan, path)
    write_tree(path, png_files({"b.png": 2}))
    assert pack_source(make_plan, path).manifest["count"] == 2


def test_changed_images_are_packed_again_and_the_old_pack_stays(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", png_files({"a.png": 1}))
    first = pack_source(make_plan, path)
    old = first.manifest["sha256"]
    write_tree(path, png_files({"a.png": 2}))
    second = pack_source(make_plan, path)
    assert second.manifest["sha256"] != old
    write_tree(path, png_files({"a.png": 1}))
    assert pack_source(make_plan, path).manifest["sha256"] == old


@pytest.mark.parametrize(
    ("files", "splits", "message"),
    [
        ({}, TRAIN, "no images in it"),
        (png_files({"a/1.png": 1}), BOTH, "has no folders named train, test"),
        (png_files({"train/1.png": 1}), BOTH, "'train' has 1 images, 4 are expected"),
        (png_files({"train/1.png": 1}), [{"name": "train"}, {"name": "test"}], "no images for the split 'test'"),
        ({"notes.txt": b"no images here"}, TRAIN, "no images for the split 'train'"),
    ],
)
def test_folders_that_do_not_fit_the_splits(
    make_plan: MakePlan, tmp_path: Path, files: dict[str, bytes], splits: Any, message: str
) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match=message):
        pack_source(make_plan, write_tree(tmp_path / "mine", files), splits)


def test_allow_partial_accepts_another_count(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", png_files({"train/1.png": 1, "test/2.png": 2}))
    assert pack_source(make_plan, path, BOTH, allow_partial=True).manifest["count"] == 2
