"""The training curves of a run: history.csv, which is deterministic, and speed.csv, which is not."""

import time
from pathlib import Path

import psutil
import torch

from transgan.schema import RecipeConfig
from transgan.training.regularizers import measured_names
from transgan.utils import files

FIRST_COLUMNS = ("images", "step", "d_loss", "g_loss", "gap", "gradient_penalty")
LAST_COLUMNS = ("d_real", "d_fake", "d_grad_norm", "g_grad_norm", "ema_beta")
SPEED = "speed.csv"


class History:
    """Rows of means over `log_images` real images each, with columns for every regularizer and its statistics."""

    def __init__(self, recipe: RecipeConfig) -> None:
        self.rows: list[dict[str, float]] = []
        self._every = recipe.log_images
        self._columns = list(
            dict.fromkeys([*FIRST_COLUMNS, *measured_names(recipe.regularizers, recipe.regularizers), *LAST_COLUMNS])
        )
        self._timed: tuple[float, int] | None = None

    def due(self, images: int, at_end: bool) -> bool:
        """Whether a row is due after `images` real images."""
        last = int(self.rows[-1]["images"]) if self.rows else 0
        return at_end or images // self._every > last // self._every

    def add(self, images: int, step: int, means: dict[str, float]) -> dict[str, float]:
        """Add and return a row."""
        row = {"images": images, "step": step, **means}
        self.rows.append(row)
        return row

    def save(self, path: Path) -> None:
        """Write history.csv. A cell is empty if nothing was measured in its interval."""
        files.write_csv(path, self._columns, [[_cell(row, name) for name in self._columns] for row in self.rows])

    def speed(self, folder: Path, images: int, device: torch.device) -> dict[str, float]:
        """Images per second since the last call and memory in MB, also appended to speed.csv; {} at the first call."""
        now, before = time.monotonic(), self._timed
        self._timed = (now, images)
        if before is None:
            return {}
        rate = (images - before[1]) / max(now - before[0], 1e-9)
        used = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss
        with (folder / SPEED).open("a") as file:
            file.write(f"{images},{rate:.2f},{used / 1e6:.1f}\n")
        return {"images_per_second": rate, "memory_mb": used / 1e6}


def _cell(row: dict[str, float], name: str) -> str:
    if name not in row:
        return ""
    value = row[name]
    return str(value) if isinstance(value, int) else f"{value:.8g}"
