"""Checkpoints that are damaged or of another type: the previous one is used, and nothing in them runs."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from transgan.errors import UserError
from transgan.training.checkpoint import Checkpoints

pytestmark = pytest.mark.faults


def saved(folder: Path) -> Checkpoints:
    """Two checkpoints, of 1 and of 2 images."""
    checkpoints = Checkpoints(folder, "f" * 16, keep=2)
    for images in (1, 2):
        checkpoints.save(images, {"images": images})
    return checkpoints


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}", '{"sha256": 3}', "", "[" * 100_000])
def test_a_marker_of_another_type_is_skipped(tmp_path: Path, content: str) -> None:
    checkpoints = saved(tmp_path)
    (tmp_path / "checkpoint-000000000002.json").write_text(content)
    assert checkpoints.load() == {"images": 1}


@pytest.mark.parametrize("content", [[], None, 3, {}, {"state": []}, {"state": {}}, {"fingerprint": "f" * 16}])
def test_a_torch_file_of_another_type_is_skipped(tmp_path: Path, content: Any) -> None:
    checkpoints = saved(tmp_path)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path = tmp_path / "checkpoint-000000000002.pt"
    path.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps({"sha256": digest}))
    assert checkpoints.load() == {"images": 1}


def test_a_folder_in_place_of_a_checkpoint_is_skipped(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    path = tmp_path / "checkpoint-000000000002.pt"
    path.unlink()
    path.mkdir()
    assert checkpoints.load() == {"images": 1}


def test_where_all_are_damaged_the_folder_is_named_and_nothing_is_deleted(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    for path in tmp_path.glob("*.json"):
        path.write_text("[]")
    with pytest.raises(UserError, match="all 2 checkpoints are damaged; restore one"):
        checkpoints.load()
    assert len(list(tmp_path.glob("*.pt"))) == 2
