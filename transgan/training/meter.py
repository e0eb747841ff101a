"""Running means of what the steps measure. Adding a value takes few operators and does not wait for the device."""

from typing import Any

import torch
from torch import Tensor


class Meter:
    """Sums and counts of named scalars. Checkpoints contain them, so a row covers its whole interval after a resume."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, names: tuple[str, ...], values: Tensor) -> None:
        """Add one value each, (len(names),), on any device."""
        if names in self._sums:
            self._sums[names] += values
        else:
            self._sums[names] = values.detach().clone()
        self._counts[names] = self._counts.get(names, 0) + 1

    def means(self) -> dict[str, float]:
        """The mean of everything added since `clear`."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, total in self._sums.items():
            for name, value in zip(names, total.tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + self._counts[names]
        return {name: sums[name] / counts[name] for name in sums}

    def clear(self) -> None:
        """Start a new interval."""
        self._sums.clear()
        self._counts.clear()

    def state(self) -> list[dict[str, Any]]:
        """The sums and counts, for a checkpoint."""
        return [
            {"names": list(names), "sums": total, "count": self._counts[names]} for names, total in self._sums.items()
        ]

    def restore(self, state: list[dict[str, Any]], device: torch.device) -> None:
        """Restore what `state()` returned."""
        self.clear()
        for entry in state:
            names = tuple(entry["names"])
            self._sums[names] = entry["sums"].to(device).clone()
            self._counts[names] = entry["count"]
