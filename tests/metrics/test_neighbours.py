"""Nearest neighbours: right on known points, and on a generator that copies."""

from pathlib import Path

import numpy as np
import torch

from tests.scoring.conftest import RUN
from transgan.config import plan
from transgan.metrics import neighbours
from transgan.utils import files


def test_nearest_of_points_on_a_line() -> None:
    points = torch.arange(20.0)[:, None] * 2
    found = neighbours.nearest(torch.tensor([[3.1], [39.0]]), iter(points.split(7)), 3)
    assert found.rows.tolist() == [[2, 1, 3], [19, 18, 17]]
    np.testing.assert_allclose(found.distances[0], [0.9, 1.1, 2.9], rtol=1e-5)


def test_parts_change_nothing_and_ties_go_to_the_lower_row() -> None:
    points = torch.randint(0, 3, (50, 2), generator=torch.Generator().manual_seed(0)).float()
    queries = points[:9] + 0.25
    whole, parts = (neighbours.nearest(queries, iter(points.split(size)), 4) for size in (50, 6))
    np.testing.assert_array_equal(whole.rows, parts.rows)
    same = neighbours.nearest(torch.zeros(1, 2), iter([torch.ones(5, 2)]), 3)
    assert same.rows.tolist() == [[0, 1, 2]]


def test_a_copy_is_at_distance_zero() -> None:
    points = torch.rand(30, 192, generator=torch.Generator().manual_seed(0))
    found = neighbours.nearest(points[[4, 17]], iter(points.split(8)), 1)
    assert found.rows[:, 0].tolist() == [4, 17]
    assert found.distances.max() == 0.0


def test_neighbours_of_a_run_are_its_training_pictures(project: Path) -> None:
    current = plan.load()
    arrays = neighbours.find(current, RUN, count=6, k=3)
    assert arrays["samples"].shape == (6, 8, 8, 3)
    for space in ("pixel", "feature"):
        assert arrays[f"{space}_rows"].shape == (6, 3)
        assert arrays[f"{space}_images"].shape == (6, 3, 8, 8, 3)
        assert (arrays[f"{space}_rows"] < 1437).all()
        assert (np.diff(arrays[f"{space}_distances"], axis=1) >= 0).all()
        assert (arrays[f"{space}_real"] > 0).all()
    apart = arrays["samples"][:, None].astype(float) / 255 - arrays["pixel_images"] / 255
    np.testing.assert_allclose(np.sqrt((apart**2).sum((2, 3, 4))), arrays["pixel_distances"], rtol=1e-4)
    neighbours.save(arrays, Path("first.npz"))
    neighbours.save(neighbours.find(current, RUN, count=6, k=3), Path("second.npz"))
    assert files.sha256(Path("first.npz")) == files.sha256(Path("second.npz"))
