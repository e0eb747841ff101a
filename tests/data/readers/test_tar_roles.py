"""Several tars: shards of WebDataset or a tar for each class, in a folder or in a tar; the same for both verbs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.conftest import MakePlan
from tests.data.readers.helpers import pack_source, png_files, write_tree
from tests.data.sample_archives import pixels, tar_bytes, zip_bytes
from transgan.data.archives.tar_sets import without_suffix
from transgan.data.fetch import fetch
from transgan.data.readers.tar_roles import parts_in_shard
from transgan.errors import UserError
from transgan.metrics import image_sources


def place(folder: Path, tars: dict[str, bytes], kind: str) -> Path:
    """The tars in a folder, or in a tar."""
    if kind == "folder":
        return write_tree(folder / "mine", tars)
    (folder / "mine.tar").write_bytes(tar_bytes(tars, "w"))
    return folder / "mine.tar"


def evaluated(path: Path) -> np.ndarray:
    source = image_sources.from_path(path, None, None, "none")
    features = torch.cat(list(source.batches(2))).permute(0, 2, 3, 1)
    return source.in_order(features).numpy()


@pytest.mark.parametrize("kind", ["folder", "tar"])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_shards_are_read_in_order_with_their_labels(
    make_plan: MakePlan, tmp_path: Path, kind: str, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix = ".tar" if mode == "w" else ".tar.gz"
    shards = {
        f"{shard:05d}{suffix}": tar_bytes(
            png_files({f"{shard:03d}{i:03d}.png": 10 * shard + i for i in range(3)})
            | {f"{shard:03d}{i:03d}.cls": f"{shard + i}\n".encode() for i in range(3)}
            | {f"{shard:03d}{i:03d}.json": b'{"caption": "a cat"}' for i in range(3)},
            mode,
        )
        for shard in (1, 0)
    }
    path = place(tmp_path, shards, kind)
    packed = pack_source(make_plan, path)
    expected = np.stack([pixels(seed, 12, 12) for seed in (0, 1, 2, 10, 11, 12)])
    np.testing.assert_array_equal(packed.images, expected)
    assert packed.labels.tolist() == [0, 1, 2, 1, 2, 3]
    assert packed.manifest["classes"] == ["0", "1", "2", "3"]
    shown = capsys.readouterr().err
    assert "6 images; left out 6 files that are no images (6 .json)\n" in shown
    assert "labels of 6 of 6 images from .cls files\n" in shown
    assert "2 tars are shards, not classes, because images have companions of the same name; for classes, name" in shown
    np.testing.assert_array_equal(evaluated(path), expected)


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_tars_of_plain_images_are_classes(
    make_plan: MakePlan, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """ImageNet's layout."""
    names = ["n01440764", "n01443537", "n01484850"]
    tars = {
        f"{name}.tar": tar_bytes(png_files({f"{name}_{i}.JPEG": 10 * label + i for i in range(2)}), "w")
        for label, name in enumerate(names)
    }
    path = place(tmp_path, tars, kind)
    packed = pack_source(make_plan, path)
    assert packed.manifest["classes"] == names
    assert packed.labels.tolist() == [0, 0, 1, 1, 2, 2]
    expected = np.stack([pixels(seed, 12, 12) for seed in (0, 1, 10, 11, 20, 21)])
    np.testing.assert_array_equal(packed.images, expected)
    assert "3 tars are a class each, named after them; for shards, number them 00000.tar" in capsys.readouterr().err
    np.testing.assert_array_equal(evaluated(path), expected)


@pytest.mark.parametrize(
    ("names", "shards"),
    [
        (["00000", "00001"], True),
        (["train-0001", "train-0002", "val-1"], True),
        (["part-00000-of-00002", "part-00001-of-00002"], True),
        (["shard_0"], True),
        (["00003", "00007"], True),
        (["n01440764", "n01443537"], False),
        (["n01440764"], False),
        (["cat", "dog"], False),
        (["cat1", "dog7"], False),
    ],
)
def test_names_of_shards_and_of_classes(make_plan: MakePlan, tmp_path: Path, names: list[str], shards: bool) -> None:
    tars = {f"{name}.tar": tar_bytes(png_files({"a.png": i}), "w") for i, name in enumerate(names)}
    packed = pack_source(make_plan, place(tmp_path, tars, "folder"))
    assert packed.manifest["classes"] == ([] if shards else sorted(names))


BOTH = [{"name": "train", "count": 2}, {"name": "val", "count": 1}]


@pytest.mark.parametrize(
    "names", [["train/00000", "train/00001", "val/00000"], ["x-train-0000", "x-train-0001", "x-val-0000"]]
)
def test_shards_of_splits(make_plan: MakePlan, tmp_path: Path, names: list[str]) -> None:
    tars = {
        f"{name}.tar": tar_bytes(png_files({"a.png": i}) | {"a.cls": b"%d" % i}, "w") for i, name in enumerate(names)
    }
    packed = pack_source(make_plan, place(tmp_path, tars, "folder"), BOTH)
    assert packed.manifest["splits"] == {"train": [0, 2], "val": [2, 3]}
    assert packed.labels.tolist() == [0, 1, 2]


def test_class_tars_of_splits(make_plan: MakePlan, tmp_path: Path) -> None:
    names = ["train/cat", "train/dog", "val/dog"]
    tars = {f"{name}.tar": tar_bytes(png_files({"a.png": i}), "w") for i, name in enumerate(names)}
    packed = pack_source(make_plan, place(tmp_path, tars, "folder"), BOTH)
    assert packed.labels.tolist() == [0, 1, 1]
    assert packed.manifest["classes"] == ["cat", "dog"]


def test_a_tar_beside_images_is_left_out(
    make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = {"backup.tar": tar_bytes(png_files({"a.png": 1}), "w")}
    path = write_tree(tmp_path / "mine", png_files({"a.png": 1}) | backup)
    assert pack_source(make_plan, path).manifest["count"] == 1
    shown = capsys.readouterr().err
    assert "left out 1 files that are no images (1 .tar); tars are read only where no images are beside them" in shown


def test_tars_where_they_cannot_be_read_are_one_line_at_fetch(make_plan: MakePlan, tmp_path: Path) -> None:
    shard = {"00000.tar": tar_bytes(png_files({"a.png": 1}), "w")}
    (tmp_path / "mine.tar.gz").write_bytes(tar_bytes(shard, "w:gz"))
    (tmp_path / "mine.zip").write_bytes(zip_bytes(shard))
    for name, message in (("mine.tar.gz", "decompress it first"), ("mine.zip", "1 of them is an archive")):
        path = tmp_path / name
        plan = make_plan({"mine": {"source": "folder", "path": str(path), "resolution": 12, "splits": [BOTH[0]]}})
        with pytest.raises(UserError, match=message):
            fetch(plan, "mine")
        with pytest.raises(UserError, match=message):
            image_sources.from_path(path, None, None, "none")


@pytest.mark.faults
def test_a_damaged_shard_is_named(make_plan: MakePlan, tmp_path: Path) -> None:
    whole = tar_bytes(png_files({"a.png": 1, "b.png": 2}), "w")
    path = write_tree(tmp_path / "mine", {"00000.tar": whole, "00001.tar": whole[:700]})
    with pytest.raises(UserError, match=r"00001\.tar: damaged or truncated"):
        pack_source(make_plan, path)
    (tmp_path / "mine.tar").write_bytes(tar_bytes({"00000.tar": whole, "00001.tar": whole[:700]}, "w"))
    with pytest.raises(UserError, match=r"mine\.tar: damaged or truncated"):
        pack_source(make_plan, tmp_path / "mine.tar")


def test_the_digest_of_shards_is_that_of_their_files(tmp_path: Path) -> None:
    tars = {f"{i}.tar": tar_bytes(png_files({"a.png": i}), "w") for i in range(2)}
    path = write_tree(tmp_path / "mine", tars)
    before = image_sources.from_path(path, None, None, "none").digest
    write_tree(path, {"1.tar": tar_bytes(png_files({"a.png": 7}), "w")})
    assert image_sources.from_path(path, None, None, "none").digest != before


def test_parts_in_a_shard() -> None:
    assert parts_in_shard("data/x-train-00/cat/1.png", "data/x-train-00", ["train", "val"]) == ("train", "cat", "1.png")
    assert parts_in_shard("val/00/1.png", "val/00", ["train", "val"]) == ("val", "1.png")
    assert parts_in_shard("strain/1.png", "strain", ["train"]) == ("1.png",)
    assert without_suffix("a.b.TAR.GZ") == "a.b"
