"""Nearest neighbours: equal to a full search, exact for copies, in pixels and in features."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from transgan.data.pack import Pack
from transgan.metrics import neighbours
from transgan.metrics.extractors import Extractor
from transgan.metrics.neighbours import extractor_features, nearest_images, pixel_features


def images(count: int, side: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def pack_of(content: NDArray[np.uint8]) -> Pack:
    return Pack(content, np.zeros(len(content), np.int64), {"sha256": "0" * 64})


@pytest.mark.parametrize("chunk", [7, 1000])
def test_neighbours_are_those_of_a_full_search(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(neighbours, "CHUNK", chunk)
    training, samples, rows = images(50, seed=1), images(3, seed=2), np.arange(10, 50)
    nearest = nearest_images(samples, pack_of(training), rows, k=5)
    apart = ((samples[:, None].astype(float) - training[None, rows]) ** 2).sum((2, 3, 4))
    np.testing.assert_array_equal(nearest.rows, rows[np.argsort(apart, 1, kind="stable")[:, :5]])
    np.testing.assert_allclose(nearest.distances, np.sqrt(np.sort(apart, 1)[:, :5]))


def test_a_copy_is_at_distance_zero_also_in_block_averages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "COMPARED_SIDE", 4)
    training = images(20, side=16)
    nearest = nearest_images(training[[3, 11]], pack_of(training), np.arange(20), k=1)
    assert nearest.rows.tolist() == [[3], [11]]
    assert nearest.distances.max() == 0.0


def test_equal_distances_keep_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CHUNK", 2)
    same = np.repeat(images(1), 6, axis=0)
    nearest = nearest_images(images(1, seed=1), pack_of(same), np.array([4, 1, 5, 0]), k=3)
    assert nearest.rows.tolist() == [[4, 1, 5]]


def test_fewer_rows_than_neighbours_give_them_all() -> None:
    nearest = nearest_images(images(2), pack_of(images(3, seed=1)), np.arange(3), k=5)
    assert nearest.rows.shape == nearest.distances.shape == (2, 3)


def test_the_second_neighbour_of_a_training_image_is_the_nearest_other_one() -> None:
    training, rows = images(30), np.arange(30)
    nearest = nearest_images(training, pack_of(training), rows, k=2)
    np.testing.assert_array_equal(nearest.rows[:, 0], rows)
    assert (nearest.distances[:, 1] > 0).all()


def test_pixel_features_are_block_averages_of_large_images() -> None:
    large = np.kron(images(2, side=2), np.ones((1, 32, 32, 1), np.uint8))
    assert pixel_features(large).shape == (2, 32 * 32 * 3)
    small = images(2, side=8)
    np.testing.assert_array_equal(pixel_features(small).numpy(), small.reshape(2, -1))


class MeanColour(nn.Module):
    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        assert batch.dtype == torch.uint8
        return (batch.float().mean((2, 3)),)


def test_neighbours_in_the_features_of_an_extractor() -> None:
    extractor = Extractor(MeanColour(), ("colour",), {"colour": 3}, torch.device("cpu"), False, "mean colour")
    training = images(40)
    flipped = np.ascontiguousarray(training[[5, 30], ::-1])  # other pixels, the same colour
    nearest = nearest_images(
        flipped, pack_of(training), np.arange(40), 1, extractor_features(extractor, "colour", batch=7)
    )
    assert nearest.rows.tolist() == [[5], [30]]
    np.testing.assert_allclose(nearest.distances, 0.0, atol=1e-4)
