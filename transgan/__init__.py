"""A reproduction of TransGAN (arXiv 2102.07074) behind one command line, `transgan`.

`models` has the networks, TransGAN and the baselines; `training` the losses, regularizers, augmentation and the
training loop, on one device or several; `data` fetches datasets and packs them into arrays; `metrics` computes FID,
IS, KID, precision and recall, and `scoring` has the stages that apply them to runs. `config` resolves params.yaml,
whose content `schema` describes, into a plan of runs; `pipeline` connects the stages to Snakemake and DVC and
recognizes finished work. `report` makes tables, figures and the report page; `tracking` logs runs to MLflow; `cost`
computes FLOPs, memory and hours of a run in advance. `commands` has the tools of the command line (`cli`), `hardware`
the devices, and `utils` files, log messages and random numbers. `api` has the functions that are offered here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transgan.api import Networks, TrainedGenerator, UserError, build, cells, evaluate, load_generator, plan

__version__ = "0.1.0"

__all__ = [
    "Networks",
    "TrainedGenerator",
    "UserError",
    "__version__",
    "build",
    "cells",
    "evaluate",
    "load_generator",
    "plan",
]


def __getattr__(name: str) -> Any:
    """The names of `transgan.api`, imported when first used: the command line must start quickly."""
    if name in __all__:
        return getattr(import_module("transgan.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
