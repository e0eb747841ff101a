"""The Python interface: what `import transgan` offers.

Every function takes `scale` (a scale of the params file, by default the one that is set there) and `params` (the params
file, by default params.yaml in the current directory or, where there is none, the one that comes with this package, at
scale `paper`), as the command line does, and raises `UserError`, whose text is
one line with what to do. Stages write their results through the command line only; nothing here changes them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.utils import extras

if TYPE_CHECKING:  # imported by the functions that need them, so that `import transgan` stays light
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from transgan.models import DiscriminatorNetwork, GeneratorNetwork
    from transgan.models.serialization import Saved

PathLike = str | Path


class Networks(NamedTuple):
    """The freshly initialized networks of a run."""

    generator: "GeneratorNetwork"
    discriminator: "DiscriminatorNetwork"


class TrainedGenerator:
    """A trained generator on the CPU. Image i of a seed is the image i that scoring uses.

    `module` is the network in evaluation mode: z (B, latent) -> images (B, 3, resolution, resolution), about [-1, 1].
    """

    def __init__(self, module: "GeneratorNetwork", saved: "Saved | None" = None) -> None:
        """`saved` is what the module was read from; `save_pretrained` needs it."""
        self.module = module
        self._saved = saved

    @classmethod
    def from_pretrained(cls, folder: PathLike) -> "TrainedGenerator":
        """The generator in a folder that `save_pretrained` or `transgan export` wrote. Raises UserError without one."""
        from transgan.metrics.generator_files import SHARED, is_shared, read

        if not is_shared(Path(folder)):
            raise UserError(
                f"{folder}: no folder with {SHARED}; name one, or fetch it: hf download NAME --local-dir {folder}"
            )
        saved = read(Path(folder))
        return cls(saved.module, saved)

    def __repr__(self) -> str:
        return f"<TrainedGenerator: z ({self.latent}) -> {self.resolution} x {self.resolution}>"

    def save_pretrained(self, folder: PathLike) -> None:
        """Write model.safetensors and config.json to a folder, over files of these names. The weights stay exact.

        `transgan export` also writes a model card. Raises ValueError for a module that was not read from a file.
        """
        from transgan.models import shared_folder

        if self._saved is None:
            raise ValueError("this generator was not read from a file, so its configuration is not known")
        shared_folder.write(Path(folder), self._saved, {})

    @property
    def latent(self) -> int:
        """Width of a latent."""
        return self.module.latent

    @property
    def resolution(self) -> int:
        """Side of an image in pixels."""
        return self.module.resolution

    def sample(self, n: int, seed: int = 0, *, batch: int = 50, device: str = "cpu") -> "NDArray[np.uint8]":
        """The first `n` images of evaluation seed `seed`: (n, H, W, 3), uint8, truncated as in the paper's evaluation.

        Neither `batch` nor the number of images changes an image. The network stays on `device`. Raises ValueError for
        `n` or `batch` below 1, and UserError if images are not finite.
        """
        import numpy as np
        import torch

        from transgan.metrics.samples import to_numpy, uint8_samples

        if n < 1 or batch < 1:
            raise ValueError(f"n is {n} and batch is {batch}; both must be at least 1")
        batches = uint8_samples(self.module, seed, n, batch, "truncate", torch.device(device))
        return np.concatenate([to_numpy(images) for images in batches])


def plan(scale: str | None = None, *, params: PathLike | None = None) -> Plan:
    """A params file at one scale, resolved: `.runs`, `.models`, `.recipes`, `.protocols`, `.datasets`, `.paths`."""
    return plans.load(None if params is None else Path(params), scale)


def build(run: str, scale: str | None = "paper", *, params: PathLike | None = None) -> Networks:
    """The networks of a run, freshly initialized from torch's random numbers.

    At scale `paper`, the default, they are the paper's. Needs no data. Raises UserError for an unknown run.
    """
    from transgan.models import build_discriminator, build_generator

    of = plan(scale, params=params).run(run)
    generator = build_generator(of.model.generator)
    return Networks(generator, build_discriminator(of.model.discriminator, generator.resolution))


def load_generator(source: PathLike, scale: str | None = None, *, params: PathLike | None = None) -> TrainedGenerator:
    """A trained generator: a .safetensors of this project, a .pth of the authors, a folder, a run, or MLflow's model.

    A folder is one that `transgan export` or `save_pretrained` wrote; a run is the name of a finished one; a model of
    MLflow is `models:/NAME/1` or `models:/NAME@ALIAS`, in the database in this folder or at MLFLOW_TRACKING_URI. Only
    a run needs a params file. Raises UserError if `source` is none of these, missing or damaged.
    """
    from transgan.metrics.generator_files import SUFFIXES, is_shared, read, read_trained

    if str(source).startswith("models:/"):
        from transgan.tracking.registry import read_model

        saved = read_model(str(source))
        return TrainedGenerator(saved.module, saved)
    path = Path(source)
    if path.suffix in SUFFIXES or is_shared(path):
        saved = read(path)
    else:
        of = plan(scale, params=params)
        if path.is_dir() and str(source) not in of.runs:
            return TrainedGenerator.from_pretrained(path)  # raises UserError: the folder has no generator
        of.run(str(source))  # raises UserError for an unknown name
        saved = read_trained(of, str(source))
    return TrainedGenerator(saved.module, saved)


def evaluate(
    target: "PathLike | TrainedGenerator | Callable[[Tensor], Tensor]",
    reference: PathLike,
    protocol: str | None = None,
    *,
    latent: int | None = None,
    metrics: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    scale: str | None = None,
    params: PathLike | None = None,
) -> dict[str, Any]:
    """Score a generator or images against a reference, as `transgan evaluate` does.

    `target` is a run, a generator file, images (a folder, archive, .npz or .npy), a `TrainedGenerator`, or any module
    or function from latents (B, `latent`), standard normal float32, to images (B, 3, H, W) in [-1, 1] on the same
    device. `latent` is needed for the last alone. `reference` is a dataset, a pack, a folder of images or an .npz of
    statistics. `protocol` names a protocol of the params file; `metrics` and `changes` replace parts of it.

    Returns `summary` (metric -> mean, and std over evaluation seeds), `metrics`, `settings`, `warnings` and more; the
    same as the JSON of the command. Raises UserError, and TypeError where `latent` is missing.
    """
    from transgan.metrics.callable_generator import CallableGenerator
    from transgan.scoring import evaluate as evaluation

    of = plan(scale, params=params)
    if isinstance(target, str | Path):
        return evaluation.evaluate(of, str(target), str(reference), protocol, metrics, changes)
    if isinstance(target, TrainedGenerator):
        module: GeneratorNetwork = target.module
    elif not callable(target):
        raise TypeError(f"target is {type(target).__name__}; give a path, a generator or a function")
    elif latent is None:
        raise TypeError("latent is missing: the width of the latents that target takes")
    else:
        module = CallableGenerator(target, latent)
    name = getattr(target, "__name__", type(target).__name__)
    return evaluation.evaluate(of, module, str(reference), protocol, metrics, changes, name)


def cells(scale: str | None = None, *, params: PathLike | None = None) -> "pd.DataFrame":
    """All cells of the tables of scores as a tidy frame, a line per table, row, column, metric and training seed.

    docs/tables.md explains its columns. Reads the scores that are there; cells without one say so in `note`. Needs the
    extra `report`; raises UserError without it.
    """
    try:
        from transgan.report.cells_frame import cells_frame
    except ModuleNotFoundError as error:
        raise UserError(extras.explained(error) or str(error)) from error

    return cells_frame(plan(scale, params=params))


__all__ = ["Networks", "TrainedGenerator", "UserError", "build", "cells", "evaluate", "load_generator", "plan"]
