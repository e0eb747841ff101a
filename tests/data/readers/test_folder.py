"""A user's own images: layouts, images that cannot be read, and counts."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.conftest import MakePlan
from tests.data.sample_archives import encode, pixels, tar_bytes, zip_bytes
from transgan.data.fetch import fetch
from transgan.data.pack import Pack
from transgan.data.prepare import prepare
from transgan.errors import UserError

TRAIN = [{"name": "train"}]


BOTH = [{"name": "train", "count": 4}, {"name": "test", "count": 2}]


LAYOUT = {
    f"{split}/{kind}/{i}.png": 10 * i + len(kind) + len(split)
    for split, n in (("train", 2), ("test", 1))
    for kind in ("cat", "horse")
    for i in range(n)
}


def pictures(layout: dict[str, int]) -> dict[str, bytes]:
    return {name: encode(pixels(seed, 12, 12), "PNG") for name, seed in layout.items()}


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def pack(make_plan: MakePlan, path: Path, splits: list[dict[str, Any]] = TRAIN, **options: Any) -> Pack:
    plan = make_plan({"mine": {"source": "folder", "path": str(path), "resolution": 12, "splits": splits, **options}})
    fetch(plan, "mine")
    prepare(plan, "mine")
    return Pack.open(plan.paths.data("mine"))


@pytest.mark.parametrize("kind", ["tree", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("wrapped", ["", "pictures/"])
def test_split_and_class_folders_in_any_container(make_plan: MakePlan, tmp_path: Path, kind: str, wrapped: str) -> None:
    files = {wrapped + name: content for name, content in reversed(pictures(LAYOUT).items())}
    files |= {f"{wrapped}.DS_Store": b"junk", "__MACOSX/x": b"junk"}
    path = tmp_path / f"source.{kind}"
    if kind == "tree":
        tree(path, files)
    else:
        path.write_bytes(zip_bytes(files) if kind == "zip" else tar_bytes(files, f"w:{kind[4:]}"))
    found = pack(make_plan, path, BOTH)
    assert found.manifest["splits"] == {"train": [0, 4], "test": [4, 6]}
    assert found.manifest["classes"] == ["cat", "horse"]
    assert found.labels.tolist() == [0, 0, 1, 1, 0, 1]
    expected = [
        LAYOUT[f"{split}/{kind}/{i}.png"]
        for split, n in (("train", 2), ("test", 1))
        for kind in ("cat", "horse")
        for i in range(n)
    ]
    np.testing.assert_array_equal(found.images, np.stack([pixels(seed, 12, 12) for seed in expected]))
    np.testing.assert_array_equal(found.rows(["test", "train"]), [4, 5, 0, 1, 2, 3])


def test_class_folders_without_splits(make_plan: MakePlan, tmp_path: Path) -> None:
    path = tree(tmp_path / "mine", pictures({"b/deep/1.png": 1, "a/2.png": 2, "loose.png": 3}))
    found = pack(make_plan, path)
    assert found.manifest["classes"] == ["a", "b"]
    assert found.labels.tolist() == [0, 1, -1]


def test_a_split_may_take_several_folders_and_leave_others(make_plan: MakePlan, tmp_path: Path) -> None:
    path = tree(tmp_path / "mine", pictures({"train/1.png": 1, "valid/2.png": 2, "test/3.png": 3}))
    found = pack(make_plan, path, [{"name": "train", "parts": ["train", "valid"], "count": 2}])
    np.testing.assert_array_equal(found.images, np.stack([pixels(1, 12, 12), pixels(2, 12, 12)]))


def test_linked_class_folders_are_followed_once(make_plan: MakePlan, tmp_path: Path) -> None:
    tree(tmp_path / "elsewhere", pictures({"1.png": 1}))
    path = tree(tmp_path / "mine", pictures({"a/2.png": 2}))
    (path / "b").symlink_to(tmp_path / "elsewhere")
    (path / "a" / "loop").symlink_to(path)
    assert pack(make_plan, path).labels.tolist() == [0, 1]


BAD = {
    "bad/broken.jpg": encode(pixels(1, 64, 64))[:-300],
    "bad/empty.png": b"",
    "bad/notes.txt": b"these are my pictures",
    "bad/liar.png": b"GIF89a",
}


def test_unreadable_pictures_are_named(make_plan: MakePlan, tmp_path: Path) -> None:
    path = tree(tmp_path / "mine", pictures({f"good/{i}.png": i for i in range(70)}) | BAD)
    with pytest.raises(UserError) as error:
        pack(make_plan, path)
    message = str(error.value)
    assert "\n" not in message
    assert "4 of 74 pictures cannot be read" in message
    for name in BAD:
        assert name in message
    assert "on_error: skip" in message


def test_unreadable_pictures_can_be_skipped(
    make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tree(tmp_path / "mine", pictures({f"good/{i:02d}.png": i for i in range(70)}) | BAD)
    found = pack(make_plan, path, on_error="skip")
    assert found.manifest["count"] == 70
    assert found.manifest["skipped"] == 4
    assert "4 of 74 pictures cannot be read" in capsys.readouterr().err
    np.testing.assert_array_equal(found.images, np.stack([pixels(i, 12, 12) for i in range(70)]))


def test_a_mended_picture_is_noticed(make_plan: MakePlan, tmp_path: Path) -> None:
    path = tree(tmp_path / "mine", pictures({"a.png": 1}) | {"b.png": b"broken"})
    with pytest.raises(UserError, match=r"b\.png"):
        pack(make_plan, path)
    tree(path, pictures({"b.png": 2}))
    assert pack(make_plan, path).manifest["count"] == 2


def test_changed_pictures_are_packed_again_and_the_old_pack_is_kept(make_plan: MakePlan, tmp_path: Path) -> None:
    path = tree(tmp_path / "mine", pictures({"a.png": 1}))
    first = pack(make_plan, path)
    old = first.manifest["sha256"]
    tree(path, pictures({"a.png": 2}))
    second = pack(make_plan, path)
    assert second.manifest["sha256"] != old
    tree(path, pictures({"a.png": 1}))
    assert pack(make_plan, path).manifest["sha256"] == old


@pytest.mark.parametrize(
    ("files", "splits", "message"),
    [
        ({}, TRAIN, "no pictures in it"),
        (pictures({"a/1.png": 1}), BOTH, "has no folders named train, test"),
        (pictures({"train/1.png": 1}), BOTH, "'train' has 1 pictures, 4 are expected"),
        (pictures({"train/1.png": 1}), [{"name": "train"}, {"name": "test"}], "no pictures for the split 'test'"),
        ({"notes.txt": b"no pictures here"}, TRAIN, "no pictures for the split 'train'"),
    ],
)
def test_folders_that_do_not_fit(
    make_plan: MakePlan, tmp_path: Path, files: dict[str, bytes], splits: Any, message: str
) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match=message):
        pack(make_plan, tree(tmp_path / "mine", files), splits)


def test_another_count_can_be_allowed(make_plan: MakePlan, tmp_path: Path) -> None:
    path = tree(tmp_path / "mine", pictures({"train/1.png": 1, "test/2.png": 2}))
    assert pack(make_plan, path, BOTH, allow_partial=True).manifest["count"] == 2


@pytest.mark.parametrize("name", ["gone", "gone.zip", "gone.tar"])
def test_a_missing_source_is_named(make_plan: MakePlan, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}: not there"):
        pack(make_plan, tmp_path / name)


def test_a_file_of_another_kind_is_refused(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "mine.rar").write_bytes(b"Rar!")
    with pytest.raises(UserError, match="must be a folder"):
        pack(make_plan, tmp_path / "mine.rar")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.7])
def test_truncated_archives_are_noticed(make_plan: MakePlan, tmp_path: Path, kind: str, share: float) -> None:
    files = {
        f"{i}.png": encode(np.random.default_rng(i).integers(0, 256, (24, 24, 3), dtype=np.uint8), "PNG")
        for i in range(12)
    }
    whole = zip_bytes(files) if kind == "zip" else tar_bytes(files, f"w:{kind[4:]}")
    content = whole[: int(len(whole) * share)]
    path = tmp_path / f"source.{kind}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged or truncated"):
        pack(make_plan, path)


def test_a_plain_tar_cut_between_two_members_is_noticed(make_plan: MakePlan, tmp_path: Path) -> None:
    """tarfile itself takes it for a whole one."""
    member = encode(pixels(1, 12, 12), "PNG")
    one = 512 + -(-len(member) // 512) * 512
    (tmp_path / "source.tar").write_bytes(tar_bytes({"1.png": member, "2.png": member}, "w")[:one])
    with pytest.raises(UserError, match="breaks off"):
        pack(make_plan, tmp_path / "source.tar")


def test_damaged_member_of_a_zip_is_noticed(make_plan: MakePlan, tmp_path: Path) -> None:
    content = bytearray(zip_bytes(pictures({"1.png": 1, "2.png": 2})))
    content[len(content) // 3] ^= 0xFF
    (tmp_path / "source.zip").write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"damaged or truncated"):
        pack(make_plan, tmp_path / "source.zip")


def test_a_tar_gz_under_another_name_is_read_by_its_content(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "source.tar").write_bytes(gzip.compress(tar_bytes(pictures({"1.png": 1}), "w")))
    assert pack(make_plan, tmp_path / "source.tar").manifest["count"] == 1
