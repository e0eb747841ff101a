"""Small stand-ins for what travels to a machine with a GPU: images, Inception's weights, a package."""

import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

PACKAGE = "travelled_package"


def images_tar(path: Path, count: int = 80, splits: Sequence[str] = ("train", "test")) -> Path:
    """A tar with `count` random JPEGs of 32 pixels in two classes of each split."""
    random = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for split in splits:
            for index in range(count):
                buffer = io.BytesIO()
                Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "JPEG")
                entry = tarfile.TarInfo(f"{split}/class{index % 2}/{index:04}.jpg")
                entry.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(entry, buffer)
    return path


def wheel(folder: Path) -> Path:
    """A wheel of an empty package for any Python."""
    path = folder / f"{PACKAGE}-1.0-py3-none-any.whl"
    info = f"{PACKAGE}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{PACKAGE}/__init__.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def inception_weights(path: Path) -> Path:
    """Inception's state dict in the published format, of zeros, which compress well."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(torch, "load", lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        state = FeatureExtractorInceptionV3("inception-v3-compat", ["64"], str(path)).state_dict()
    torch.save({name: torch.zeros_like(tensor) for name, tensor in state.items()}, path)
    return path
