"""How MLflow runs a logged generator (`loader_module` of its pyfunc models): n images of a seed.

MLflow imports this module by its name, from the file MLmodel of every logged model: the name must stay.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from transgan.models.base import GeneratorNetwork

BATCH = 50


class GeneratorModel:
    """A generator with the `predict` that MLflow calls. `module` is the torch network, in evaluation mode."""

    def __init__(self, module: "GeneratorNetwork") -> None:
        self.module = module

    def predict(self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None) -> "NDArray[np.uint8]":
        """The first `n` images of evaluation seed `seed` (0 if it is left out) for each row, one after the other.

        Returns (sum of n, H, W, 3), uint8. Image i of a seed is the one that scoring uses as image i. Raises ValueError
        for an `n` below 1.
        """
        import numpy as np
        import torch

        from transgan.metrics.samples import to_numpy, uint8_samples

        images = []
        for row in model_input.to_dict("records"):
            n, seed = int(row["n"]), row.get("seed")
            if n < 1:
                raise ValueError(f"n is {n}; it must be at least 1")
            number = 0 if seed is None or seed != seed else int(seed)  # pandas reads a missing number as NaN
            batches = uint8_samples(self.module, number, n, BATCH, "truncate", torch.device("cpu"))
            images += [to_numpy(batch) for batch in batches]
        return np.concatenate(images)


def _load_pyfunc(path: str) -> GeneratorModel:
    """Called by MLflow with the folder of the logged weights."""
    from transgan.metrics import generator_files

    return GeneratorModel(generator_files.load(Path(path)))
