"""Regularizers: terms that a recipe adds to the loss of a network, one module each (docs/paper.md 3.1, 4.8 and 5).

A regularizer is a function of its configuration and a `Context`: one micro-batch of one device. It returns its
unweighted share of the term, so that the shares of all micro-batches and devices add up to the term of the whole batch.
"""

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

from transgan.schema.recipe import Regularizer
from transgan.training.regularizers.context import Context
from transgan.training.regularizers.drift import drift
from transgan.training.regularizers.gradient_penalty import gradient_penalty
from transgan.training.regularizers.path_length import path_length
from transgan.training.regularizers.r1 import r1
from transgan.training.regularizers.super_resolution import super_resolution

# By `kind` in params.yaml.
REGULARIZERS: dict[str, Callable[[Regularizer, Context], Tensor]] = {
    "gradient_penalty": gradient_penalty,
    "r1": r1,
    "drift": drift,
    "path_length": path_length,
    "super_resolution": super_resolution,
}

# What a kind of regularizer measures over the whole batch. It sees the moving average of each, which checkpoints store.
STATISTICS: dict[str, tuple[str, ...]] = {"path_length": ("mean",)}


def measured_names(regularizers: Mapping[str, Regularizer], active: Iterable[str]) -> list[str]:
    """Names of what the active regularizers measure: for each its value, then its statistics."""
    return [
        column
        for name in active
        for column in (name, *(f"{name}_{key}" for key in STATISTICS.get(regularizers[name].kind, ())))
    ]
