"""Small archives in the format of every source, and the datasets of a params file that read them."""

import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import lmdb
import numpy as np
from PIL import Image


def pixels(seed: int, height: int, width: int) -> np.ndarray:
    """Return a smooth image, uint8 (height, width, 3), different for every seed."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def encode(image: np.ndarray, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


def tar_bytes(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_bytes(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


class _PythonTwoPickler(pickle._Pickler):
    """Writes byte strings and arrays as Python 2 did, which the authors of CIFAR-10 used."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        short = len(value) < 256
        self.write(
            (
                pickle.SHORT_BINSTRING + bytes([len(value)])
                if short
                else pickle.BINSTRING + struct.pack("<i", len(value))
            )
            + value
        )
        self.memoize(value)

    dispatch[bytes] = save_bytes


def python_two_pickle(value: Any) -> bytes:
    buffer = io.BytesIO()
    _PythonTwoPickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def cifar10(per_batch: int = 4, size: int = 32) -> dict[str, bytes]:
    members = {
        "cifar-10-batches-py/batches.meta": python_two_pickle(
            {b"label_names": [name.encode() for name in CIFAR_CLASSES]}
        )
    }
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        rows = [pixels(number * 1000 + i, 32, 32).transpose(2, 0, 1).ravel() for i in range(per_batch)]
        batch = {
            b"batch_label": name.encode(),
            b"labels": [(number + i) % 10 for i in range(per_batch)],
            b"data": np.stack(rows),
        }
        members[f"cifar-10-batches-py/{name}"] = python_two_pickle(batch)
    return {"cifar-10-python.tar.gz": tar_bytes(members)}


def stl10(train: int = 6, unlabeled: int = 8, test: int = 4) -> dict[str, bytes]:
    members = {}
    for part, count in (("test", test), ("train", train), ("unlabeled", unlabeled)):
        # Planes in column-major order.
        images = [pixels(len(part) * 1000 + i, 96, 96).transpose(2, 1, 0) for i in range(count)]
        members[f"stl10_binary/{part}_X.bin"] = np.stack(images).tobytes()
        if part != "unlabeled":
            members[f"stl10_binary/{part}_y.bin"] = bytes(1 + i % 10 for i in range(count))
    members["stl10_binary/class_names.txt"] = b"airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n"
    return {"stl10_binary.tar.gz": tar_bytes(members)}


def celeba(count: int = 6) -> dict[str, bytes]:
    names = [f"{i + 1:06d}.jpg" for i in range(count)]
    partition = "".join(f"{name} {min(i * 3 // count, 2)}\n" for i, name in enumerate(names))
    columns = (
        "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    )
    points = "".join(f"{name}  69 111 108 111 {86 + i} 136 73 152 105 152\n" for i, name in enumerate(names))
    return {
        "img_align_celeba.zip": zip_bytes(
            {f"img_align_celeba/{name}": encode(pixels(i, 218, 178)) for i, name in enumerate(names)}
        ),
        "list_eval_partition.txt": partition.encode(),
        "list_landmarks_align_celeba.txt": f"{count}\n{columns}\n{points}".encode(),
    }


def celebahq(count: int = 4, size: int = 300) -> dict[str, bytes]:
    members = {f"CelebAMask-HQ/CelebA-HQ-img/{i}.jpg": encode(pixels(i, size, size)) for i in range(count)}
    return {
        "celebahq.zip": zip_bytes(
            members | {"CelebAMask-HQ/CelebAMask-HQ-mask-anno/0/00000_hair.png": encode(pixels(99, 8, 8), "PNG")}
        )
    }


def lmdb_folder(folder: Path, count: int = 5) -> None:
    with lmdb.open(str(folder), map_size=64 * 2**20) as database, database.begin(write=True) as transaction:
        for i in range(count):
            key = hashlib.sha1(str(i).encode()).hexdigest()
            transaction.put(key.encode(), encode(pixels(i, 256, 341 + i), "WEBP"))


def lsun(scratch: Path, count: int = 5) -> dict[str, bytes]:
    folder = scratch / "church_outdoor_train_lmdb"
    folder.mkdir(parents=True)
    lmdb_folder(folder, count)
    members = {f"{folder.name}/{name}": (folder / name).read_bytes() for name in ("data.mdb", "lock.mdb")}
    return {"church_outdoor_train_lmdb.zip": zip_bytes(members, zipfile.ZIP_DEFLATED)}


def every_archive(scratch: Path) -> dict[str, bytes]:
    """Return small versions of all sources' files, and the SHA256SUMS of a mirror that holds them.

    `scratch` is a folder that does not exist yet.
    """
    return with_sums(cifar10() | stl10() | celeba() | celebahq() | lsun(scratch))


def with_sums(files: dict[str, bytes]) -> dict[str, bytes]:
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    return files | {"SHA256SUMS": sums.encode()}


def small_datasets() -> dict[str, dict[str, Any]]:
    """Return `datasets` for the files of `every_archive`: the entries of params.yaml, with small counts."""
    splits = {
        "cifar10": {"train": 20, "test": 4},
        "stl10": {"train": 6, "unlabeled": 8},
        "celebahq256": {"train": 4},
        "church256": {"train": 5},
    }
    datasets: dict[str, dict[str, Any]] = {
        "cifar10": {"source": "cifar10", "resolution": 32},
        "stl10": {"source": "stl10", "resolution": 48, "resize": "bilinear", "train_splits": ["train", "unlabeled"]},
        "celebahq256": {"source": "celebahq", "resolution": 256, "resize": "bilinear"},
        "church256": {"source": "lsun", "resolution": 256, "resize": "bilinear"},
    }
    for name, counts in splits.items():
        datasets[name]["splits"] = [{"name": split, "count": count} for split, count in counts.items()]
    for side in (64, 128):
        everything = [{"name": "train", "parts": ["train", "valid", "test"], "count": 6}]
        datasets[f"celeba{side}"] = {
            "source": "celeba",
            "resolution": side,
            "resize": "bilinear",
            "crop": "face148",
            "splits": everything,
        }
    return datasets
