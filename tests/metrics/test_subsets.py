"""Subsets: evenly spaced ones keep the mixture of a sorted set, halves are disjoint and reproducible."""

import numpy as np
import torch

from transgan.metrics.subsets import evenly_spaced, random_halves


def test_evenly_spaced_indices_keep_the_class_frequencies_of_a_sorted_set() -> None:
    classes = np.repeat(np.arange(10), 100)
    assert np.bincount(classes[evenly_spaced(1000, 250)]).tolist() == [25] * 10
    assert evenly_spaced(5, 10).tolist() == evenly_spaced(5, None).tolist() == [0, 1, 2, 3, 4]


def test_halves_are_disjoint_and_always_the_same() -> None:
    features = torch.arange(11.0)[:, None]
    first, second = random_halves(features)
    assert len(first) == len(second) == 5
    assert not set(first.flatten().tolist()) & set(second.flatten().tolist())
    assert torch.equal(first, random_halves(features)[0])
