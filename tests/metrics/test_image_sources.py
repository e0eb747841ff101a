"""Image sources: every kind of file, in order; every kind of bad input is refused by name."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from transgan.errors import UserError
from transgan.metrics import image_sources


def images(count: int = 7, side: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def save(folder: Path, content: NDArray[np.uint8]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(content):
        Image.fromarray(image).save(folder / f"{number:04d}.png")
    return folder


def read(source: image_sources.ImageSource, batch: int = 3) -> NDArray[np.uint8]:
    batches = list(source.batches(batch))
    assert all(images.dtype == torch.uint8 for images in batches)
    return torch.cat(batches).permute(0, 2, 3, 1).numpy()


def open_all(
    path: Path, count: int | None = None, resolution: int | None = None, resize: str = "none"
) -> NDArray[np.uint8]:
    return read(image_sources.from_path(path, count, resolution, resize))


def test_folder_archive_and_npz_give_the_same_images(tmp_path: Path) -> None:
    content = images()
    folder = save(tmp_path / "folder", content)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    np.savez(tmp_path / "a.npz", images=content)
    np.savez(tmp_path / "b.npz", content)
    for name in ("folder", "a.zip", "a.tar", "a.npz", "b.npz"):
        np.testing.assert_array_equal(open_all(tmp_path / name), content, err_msg=name)


@pytest.mark.parametrize("count", [None, 5])
def test_an_archive_in_any_order_is_sorted_by_name(tmp_path: Path, count: int | None) -> None:
    content = images()
    folder = save(tmp_path / "folder", content)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, tarfile.open(tmp_path / "a.tar.gz", "w") as tar:
        for number in (3, 0, 6, 5, 1, 4, 2):
            archive.write(folder / f"{number:04d}.png", f"{number:04d}.png")
            tar.add(folder / f"{number:04d}.png", f"{number:04d}.png")
    expected = open_all(folder, count)
    for name in ("a.zip", "a.tar.gz"):
        source = image_sources.from_path(tmp_path / name, count, None, "none")
        np.testing.assert_array_equal(source.in_order(torch.from_numpy(read(source))), expected, err_msg=name)


@pytest.mark.parametrize("batch", [1, 2, 7, 50])
def test_the_batch_changes_nothing(batch: int) -> None:
    np.testing.assert_array_equal(read(image_sources.from_array(images()), batch), images())


def test_a_count_selects_evenly_spaced_images(tmp_path: Path) -> None:
    content = images(10)
    np.testing.assert_array_equal(open_all(save(tmp_path / "folder", content), count=5), content[::2])


def test_lossy_images_are_recognized(tmp_path: Path) -> None:
    folder = save(tmp_path / "folder", images(2))
    assert not image_sources.from_path(folder, None, None, "none").lossy
    Image.fromarray(images(1)[0]).save(folder / "z.jpg")
    assert image_sources.from_path(folder, None, None, "none").lossy


def test_the_digest_depends_on_content_and_not_on_time(tmp_path: Path) -> None:
    digests = [
        image_sources.from_path(save(tmp_path / name, images(3, seed=seed)), None, None, "none").digest
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("name", ["empty", "words"])
def test_a_folder_without_images_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    if name == "words":
        (tmp_path / name / "readme.txt").write_text("no image")
    with pytest.raises(UserError, match="no images in it"):
        image_sources.from_path(tmp_path / name, None, None, "none")


def test_images_of_different_sizes_are_refused_by_name_without_a_filter(tmp_path: Path) -> None:
    folder = save(tmp_path / "folder", images(3))
    Image.fromarray(images(1, side=16)[0]).save(folder / "0001.png")
    with pytest.raises(
        UserError, match=r"0001\.png: 16 x 16 pixels, but 8 x 8 are needed; resize it, or name a filter"
    ):
        open_all(folder)
    assert open_all(folder, resize="lanczos").shape == (3, 8, 8, 3)
    assert open_all(folder, resolution=4, resize="box").shape == (3, 4, 4, 3)
    with pytest.raises(UserError, match="4 x 4 are needed"):
        open_all(folder, resolution=4)


def test_images_that_are_not_square_are_refused(tmp_path: Path) -> None:
    Image.fromarray(images(1)[0][:4]).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="8 x 4 pixels, but squares are needed"):
        image_sources.from_path(tmp_path, None, None, "none")
    with pytest.raises(UserError, match="8 x 4 pixels, but a square is needed"):  # and not squashed
        open_all(tmp_path, resolution=4, resize="box")


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "I;16", "1"])
def test_greyscale_alpha_palettes_and_16_bits_become_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.tile(np.arange(8, dtype=np.uint8) * 32, (8, 1))
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert("RGBA" if mode in ("RGBA", "LA") else "L").convert(mode)
    image.save(tmp_path / "a.png")
    opened = open_all(tmp_path)
    assert opened.shape == (1, 8, 8, 3)
    if mode != "1":
        np.testing.assert_array_equal(opened[0, :, :, 0], grey)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken"])
def test_a_broken_image_is_named(tmp_path: Path, content: bytes) -> None:
    folder = save(tmp_path / "folder", images(3))
    (folder / "0001.png").write_bytes(content)
    with pytest.raises(UserError, match=r"0001\.png: "):
        open_all(folder)


def test_a_truncated_archive_is_one_line(tmp_path: Path) -> None:
    folder = save(tmp_path / "folder", images(3))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"a\.zip: damaged or truncated"):
        open_all(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 8, 8, 3), np.float32)}, "is float32, must be uint8"),
        ({"images": np.ones((2, 8, 8, 3), np.uint8)}, "no value above 1"),
        ({"images": np.full((2, 8, 8, 3), 300, np.int16)}, "is int16, must be uint8"),
        ({"images": np.zeros((2, 4, 8, 8), np.uint8)}, r"shape \(2, 4, 8, 8\), must be \(N, H, H, 3\)"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, "must be"),
        ({"labels": np.zeros(3)}, "has no array of images"),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, arrays: dict[str, NDArray[np.generic]], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message):
        image_sources.from_path(tmp_path / "a.npz", None, None, "none")


def test_objects_in_an_npz_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match=r"damaged, or not an \.npz archive"):
        image_sources.from_path(tmp_path / "a.npz", None, None, "none")


def test_an_npz_of_another_size_than_the_reference_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=images())
    with pytest.raises(UserError, match="images of 8 pixels, but 32 are needed"):
        image_sources.from_path(tmp_path / "a.npz", None, 32, "none")
