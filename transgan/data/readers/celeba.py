"""CelebA, aligned and cropped: 178 x 218 faces.

Source: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
Files: img_align_celeba.zip (202,599 JPEGs), list_eval_partition.txt (the split of each image) and, only for `crop:
landmarks`, list_landmarks_align_celeba.txt (five landmarks of each face).
Splits: train, valid and test. No classes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import Zip
from transgan.data.readers.base import Entry, Reader, check_parts
from transgan.data.transforms import Box
from transgan.errors import UserError
from transgan.schema import DatasetConfig

PARTS = ("train", "valid", "test")  # 0, 1, 2 in the partition file
WIDTH, HEIGHT = 178, 218
FACE = 3.6  # side of the landmark crop over the distance from eyes to mouth; gives about 148 pixels, as the usual crop


class CelebaReader(Reader):
    """Lists the zip's images with their splits and, for `crop: landmarks`, with a crop box each."""

    def __init__(self, config: DatasetConfig, paths: Mapping[str, Path]) -> None:
        super().__init__()
        zip_path, partition_path = paths["img_align_celeba.zip"], paths["list_eval_partition.txt"]
        self._zip = Zip(zip_path)
        split_of = check_parts(config, PARTS, str(zip_path))
        partition = _partition(partition_path)
        boxes = _landmark_boxes(paths["list_landmarks_align_celeba.txt"]) if config.crop == "landmarks" else {}
        self._wanted: list[int] = []
        for index, member in enumerate(self._zip.names):
            name = member.rsplit("/", 1)[-1]
            if name not in partition:
                raise UserError(f"{zip_path}: {member} is not in {partition_path}; get both from the publisher")
            if config.crop == "landmarks" and name not in boxes:
                raise UserError(
                    f"{paths['list_landmarks_align_celeba.txt']}: has no landmarks of {name}; get it from its publisher"
                )
            if split := split_of.get(partition[name]):
                self._wanted.append(index)
                self.entries.append(Entry(name, split, box=boxes.get(name)))

    def contents(self, start: int) -> Iterator[Content]:
        """Yield byte ranges of the JPEGs, or JPEGs if the zip compresses them."""
        return self._zip.byte_ranges(self._wanted[start:])

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()


def landmark_box(points: list[int]) -> Box:
    """Return a square around a face, centred on its five landmarks and inside the image.

    `points`: x and y of the left eye, right eye, nose, left mouth corner and right mouth corner.
    """
    xs, ys = points[0::2], points[1::2]
    eyes, mouth = (ys[0] + ys[1]) / 2, (ys[3] + ys[4]) / 2
    side = min(max(round(FACE * abs(mouth - eyes)), 2), WIDTH)
    left = min(max(round(sum(xs) / 5 - side / 2), 0), WIDTH - side)
    upper = min(max(round(sum(ys) / 5 - side / 2), 0), HEIGHT - side)
    return left, upper, left + side, upper + side


def _partition(path: Path) -> dict[str, str]:
    """Return {file name: split}."""
    try:
        return {name: PARTS[int(part)] for name, part in (line.split() for line in _lines(path))}
    except (ValueError, IndexError) as error:
        raise UserError(
            f"{path}: not lines of a file name and 0, 1 or 2 ({error}); get it from its publisher"
        ) from error


def _landmark_boxes(path: Path) -> dict[str, Box]:
    """Return {file name: crop box}."""
    try:
        rows = [line.split() for line in _lines(path)[2:]]  # below the count and the column names
        boxes = {row[0]: landmark_box([int(value) for value in row[1:]]) for row in rows}
    except (ValueError, IndexError) as error:
        raise UserError(
            f"{path}: not lines of a file name and ten numbers ({error}); get it from its publisher"
        ) from error
    return boxes


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error}); get it from its publisher") from error
