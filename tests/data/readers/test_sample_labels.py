"""Labels in files beside images, as WebDataset keeps them."""

import json
from pathlib import Path

import pytest

from tests.data.conftest import MakePlan
from tests.data.readers.helpers import pack_source, png_files, write_tree
from tests.data.sample_archives import tar_bytes, zip_bytes
from transgan.data.pack import Pack
from transgan.data.source_description import source_digest

IMAGES = png_files({"000000.png": 0, "000001.png": 1, "000002.png": 2})


def pack(make_plan: MakePlan, folder: Path, files: dict[str, bytes], kind: str = "tar") -> Pack:
    path = folder / f"mine.{kind}"
    if kind == "tree":
        return pack_source(make_plan, write_tree(path, files))
    path.write_bytes(zip_bytes(files) if kind == "zip" else tar_bytes(files, "w"))
    return pack_source(make_plan, path)


@pytest.mark.parametrize("suffix", ["cls", "cls.txt", "class", "label", "CLS"])
@pytest.mark.parametrize("kind", ["tar", "zip", "tree"])
def test_a_class_number_beside_each_image(make_plan: MakePlan, tmp_path: Path, suffix: str, kind: str) -> None:
    packed = pack(make_plan, tmp_path, IMAGES | {f"00000{i}.{suffix}": b"%d\n" % (2 - i) for i in range(3)}, kind)
    assert packed.labels.tolist() == [2, 1, 0]
    assert packed.manifest["classes"] == ["0", "1", "2"]


def test_class_names_beside_images(make_plan: MakePlan, tmp_path: Path) -> None:
    names = {"000000.cls": b"dog", "000001.cls": b"cat\n", "000002.cls": b"dog"}
    packed = pack(make_plan, tmp_path, IMAGES | names)
    assert packed.labels.tolist() == [1, 0, 1]
    assert packed.manifest["classes"] == ["cat", "dog"]


@pytest.mark.parametrize("key", ["label", "cls", "class", "class_id"])
def test_a_plain_label_in_json_counts_in_tars(make_plan: MakePlan, tmp_path: Path, key: str) -> None:
    labels = {f"00000{i}.json": b'{"%s": %d, "caption": "a"}' % (key.encode(), i) for i in range(3)}
    assert pack(make_plan, tmp_path, IMAGES | labels).labels.tolist() == [0, 1, 2]
    assert pack(make_plan, tmp_path, IMAGES | labels, "tree").labels.tolist() == [-1, -1, -1]


def test_json_without_labels_is_a_companion(
    make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = IMAGES | {f"00000{i}.json": b'{"caption": "a", "label": [1]}' for i in range(3)}
    assert pack(make_plan, tmp_path, files).labels.tolist() == [-1, -1, -1]
    assert "left out 3 files that are no images (3 .json)" in capsys.readouterr().err


def test_labels_of_some_images(make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = pack(make_plan, tmp_path, IMAGES | {"000001.cls": b"4", "other.cls": b"7"})
    assert packed.labels.tolist() == [-1, 4, -1]
    shown = capsys.readouterr().err
    assert "labels of 1 of 3 images from .cls files" in shown
    assert "left out 1 files that are no images (1 .cls)" in shown


def test_every_image_of_a_sample_has_its_label(make_plan: MakePlan, tmp_path: Path) -> None:
    files = png_files({"0.left.png": 0, "0.right.png": 1, "1.png": 2, "v1.5.png": 3})
    packed = pack(make_plan, tmp_path, files | {"0.cls": b"5", "1.cls": b"6", "v1.5.cls": b"7"})
    assert packed.labels.tolist() == [5, 5, 6, 7]


@pytest.mark.faults
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"1" * 30, b"a\x1b[31mb", b"-1.5\nx"])
def test_what_is_no_class_is_one_line_and_no_label(
    make_plan: MakePlan, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = pack(make_plan, tmp_path, IMAGES | {"000000.cls": b"1", "000001.cls": content})
    assert packed.labels.tolist() == [-1, -1, -1]
    assert capsys.readouterr().err.count(".cls files are no class numbers from 0 to 100,000 (000001.cls)") == 1


def test_files_beside_images_go_before_folders(make_plan: MakePlan, tmp_path: Path) -> None:
    files = {f"a.b/{name}": content for name, content in IMAGES.items()} | {"a.b/000001.cls": b"3"}
    assert pack(make_plan, tmp_path, files).labels.tolist() == [-1, 3, -1]


def test_labels_that_were_not_known_before_make_another_pack(make_plan: MakePlan, tmp_path: Path) -> None:
    """Fetching an archive again that was packed without them gives its source another digest."""
    source = Path("data/small/mine/source.json")
    pack(make_plan, tmp_path, IMAGES | {"000009.cls": b"3"})
    assert "layout" not in json.loads(source.read_text())["files"][0]
    pack(make_plan, tmp_path, IMAGES | {"000001.cls": b"3"})
    [described] = json.loads(source.read_text())["files"]
    layout = described.pop("layout")
    assert layout == "labels beside images"
    assert source_digest([described]) != source_digest([described | {"layout": layout}])
