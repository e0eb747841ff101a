"""`transgan sample`: grid, array and folder hold the same images, those that scoring uses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.scoring.conftest import RUN
from transgan.config import plan
from transgan.errors import UserError
from transgan.metrics import samples
from transgan.models.serialization import load_generator
from transgan.scoring import sample
from transgan.utils import files


def test_array_folder_and_grid_hold_the_images_that_scoring_uses(project: Path) -> None:
    current = plan.load()
    for out in ("a.npz", "folder", "grid.png"):
        sample.sample(current, RUN, Path(out), count=10, seed=1, batch=4)
    images = np.load("a.npz")["images"]
    generator = load_generator(current.paths.run(RUN) / "generator.safetensors").module
    scored = torch.cat(list(samples.uint8_samples(generator, 1, 10, 10, "truncate", torch.device("cpu"))))
    np.testing.assert_array_equal(images, scored.permute(0, 2, 3, 1).numpy())
    names = sorted(path.name for path in Path("folder").iterdir())
    assert names == [f"{number:06d}.png" for number in range(10)]
    np.testing.assert_array_equal(np.stack([np.asarray(Image.open(Path("folder") / name)) for name in names]), images)
    grid = np.asarray(Image.open("grid.png"))
    # 3 rows of 4, 2 pixels apart; every pixel is a square of 16.
    assert grid.shape == (3 * 130 - 2, 4 * 130 - 2, 3)
    for row, column in np.ndindex(16, 16):
        np.testing.assert_array_equal(grid[130 + row : 258 : 16, 260 + column : 388 : 16], images[6])


def test_the_same_images_give_the_same_bytes(project: Path) -> None:
    for out in ("a.npz", "b.npz", "a.png", "b.png"):
        sample.sample(plan.load(), RUN, Path(out), count=5)
    assert files.sha256(Path("a.npz")) == files.sha256(Path("b.npz"))
    assert files.sha256(Path("a.png")) == files.sha256(Path("b.png"))


def test_bad_targets_and_outputs_are_one_line(project: Path) -> None:
    current = plan.load()
    Path("full").mkdir()
    Path("full/mine.txt").write_text("keep")
    with pytest.raises(UserError, match="full: already exists"):
        sample.sample(current, RUN, Path("full"))
    assert Path("full/mine.txt").read_text() == "keep"
    with pytest.raises(UserError, match=r"cifar10: no run of .*; did you mean .two-cifar10"):
        sample.sample(current, "cifar10", Path("a.png"))
    with pytest.raises(UserError, match=r"x\.jpg: name x\.png for a grid"):
        sample.sample(current, RUN, Path("x.jpg"))
    with pytest.raises(UserError, match="must be at least 1"):
        sample.sample(current, RUN, Path("a.png"), count=0)
