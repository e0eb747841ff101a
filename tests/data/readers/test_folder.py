"""A user's own images: layouts, images that cannot be read, and counts."""

import json
import os
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
    assert "3 of 73 images cannot be read" in message
    for name in BAD.keys() - {"bad/notes.txt"}:
        assert name in message
    assert "on_error: skip" in message


def test_unreadable_images_can_be_skipped(
    make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_tree(tmp_path / "mine", png_files({f"good/{i:02d}.png": i for i in range(70)}) | BAD)
    packed = pack_source(make_plan, path, on_error="skip")
    assert packed.manifest["count"] == 70
    assert packed.manifest["skipped"] == 3
    shown = capsys.readouterr().err
    assert "3 of 73 images cannot be read" in shown
    assert "left out 1 files that are no images (1 .txt)" in shown
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
        ({"notes.txt": b"no images here"}, TRAIN, "no images in it"),
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


def dataset_json(labels: object) -> dict[str, bytes]:
    return {"dataset.json": json.dumps({"labels": labels}).encode()}


@pytest.mark.parametrize("kind", ["tree", "zip"])
def test_labels_of_stylegans_dataset_tool(make_plan: MakePlan, tmp_path: Path, kind: str) -> None:
    names = ["00000/img00000000.png", "00000/img00000001.png", "00001/img00001000.png"]
    files = png_files({name: i for i, name in enumerate(names)}) | dataset_json([[names[2], 0], [names[0], 2]])
    path = tmp_path / f"cifar10.{kind}"
    write_tree(path, files) if kind == "tree" else path.write_bytes(zip_bytes(files))
    packed = pack_source(make_plan, path)
    assert packed.labels.tolist() == [2, -1, 0]
    assert packed.manifest["classes"] == ["0", "1", "2"]
    write_tree(tmp_path / "plain", files | dataset_json(None))
    assert pack_source(make_plan, tmp_path / "plain").labels.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("kind", ["tree", "zip"])
@pytest.mark.parametrize("style", ["{}", "./{}", "backslash"])
def test_a_dataset_json_names_images_from_its_folder(
    make_plan: MakePlan, tmp_path: Path, kind: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["00000/img0.png", "00000/img1.png", "00001/img2.png"]
    written = [name.replace("/", "\\") if style == "backslash" else style.format(name) for name in names]
    listing = dataset_json([[written[0], 2], [written[1], 0], [written[2], 1]])
    files = {
        f"ffhq/{name}": content for name, content in (png_files({n: i for i, n in enumerate(names)}) | listing).items()
    }
    path = tmp_path / f"mine.{kind}"
    write_tree(path, files) if kind == "tree" else path.write_bytes(zip_bytes(files))
    packed = pack_source(make_plan, path)
    assert packed.labels.tolist() == [2, 0, 1]
    assert packed.manifest["classes"] == ["0", "1", "2"]
    assert "left out" not in capsys.readouterr().err


def test_a_dataset_json_in_each_split(make_plan: MakePlan, tmp_path: Path) -> None:
    files = png_files({"train/0.png": 1, "test/0.png": 2})
    for split, label in (("train", 3), ("test", 1)):
        files[f"{split}/dataset.json"] = dataset_json([["0.png", label]])["dataset.json"]
    packed = pack_source(make_plan, write_tree(tmp_path / "mine", files), [{"name": "train"}, {"name": "test"}])
    assert packed.labels.tolist() == [3, 1]


def test_listed_labels_of_no_image_are_counted(
    make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = png_files({"a.png": 1}) | dataset_json([["a.png", 1], ["b.png", 2], ["c.png", 0]])
    assert pack_source(make_plan, write_tree(tmp_path / "mine", files)).labels.tolist() == [1]
    assert "2 of 3 labels in dataset.json belong to no image (b.png)" in capsys.readouterr().err


@pytest.mark.parametrize("wrapper", ["birds", "data/birds"])
@pytest.mark.parametrize("kind", ["tree", "zip", "tar"])
def test_a_single_folder_around_class_folders_is_no_class(
    make_plan: MakePlan, tmp_path: Path, kind: str, wrapper: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = png_files({f"{wrapper}/a/1.png": 1, f"{wrapper}/b/deep/2.png": 2, f"{wrapper}/a/3.png": 3})
    path = tmp_path / f"mine.{kind}"
    if kind == "tree":
        write_tree(path, files)
    else:
        path.write_bytes(zip_bytes(files) if kind == "zip" else tar_bytes(files, "w"))
    packed = pack_source(make_plan, path)
    assert packed.manifest["classes"] == ["a", "b"]
    assert packed.labels.tolist() == [0, 0, 1]
    assert f"the classes are the folders in {wrapper}/" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [["birds/1.png", "birds/2.png"], ["birds/a/1.png", "birds/a/2.png"], ["birds/00000/1.png", "birds/01000/2.png"]],
)
def test_a_single_class_folder_is_a_class(make_plan: MakePlan, tmp_path: Path, names: list[str]) -> None:
    """Numbered folders, as FFHQ's, are no classes."""
    packed = pack_source(make_plan, write_tree(tmp_path / "mine", png_files(dict.fromkeys(names, 1))))
    assert packed.manifest["classes"] == ["birds"]
    assert packed.labels.tolist() == [0, 0]


@pytest.mark.faults
@pytest.mark.parametrize(
    "labels",
    [
        [["00000/a.png", [0.0, 1.0]]],  # a vector
        [["00000/a.png", "a caption"]],
        {"00000/a.png": 1},
        [["a"]],
        [["a", -1]],
        [["a", 10**12]],
        [[1, 1]],
        [["a", True]],
        "none",
        3,
    ],
)
def test_labels_that_are_no_classes_are_one_line_and_no_labels(
    make_plan: MakePlan, tmp_path: Path, labels: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_tree(tmp_path / "mine", png_files({"00000/a.png": 1}) | dataset_json(labels))
    packed = pack_source(make_plan, path)
    assert (packed.labels.tolist(), packed.manifest["classes"]) == ([-1], [])
    assert capsys.readouterr().err.count("the images get no labels") == 1


@pytest.mark.faults
def test_a_pipe_in_a_folder_is_no_image(make_plan: MakePlan, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "mine", png_files({"a.png": 1}))
    os.mkfifo(path / "b.png")
    (path / "c.png").symlink_to("/dev/zero")
    assert pack_source(make_plan, path).manifest["count"] == 1


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["tree", "tar", "tar.gz"])
def test_names_that_are_not_utf8(
    make_plan: MakePlan, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transgan.data.prepare.logger.disabled", True)  # pytest-xdist cannot pass such names on
    good, bad = os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"na\xefve.png")
    files = png_files({good: 1}) | {bad: b"damaged"}
    path = tmp_path / f"mine.{kind}"
    write_tree(path, files) if kind == "tree" else path.write_bytes(tar_bytes(files, f"w:{kind[4:]}"))
    packed = pack_source(make_plan, path, on_error="skip")
    np.testing.assert_array_equal(packed.images, [pixels(1, 12, 12)])
    listed = next(Path("data/store").glob("*/unreadable.txt")).read_bytes()
    assert b"na\xefve.png: " in listed
