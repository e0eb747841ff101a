"""Opens a checkpoint file of the authors without running anything in it."""

import _codecs
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transgan.errors import UserError

# Entries of a published file with the weights to generate with: the moving average first.
GENERATOR_ENTRIES = ("avg_gen_state_dict", "gen_state_dict")


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The content of a PyTorch file: only tensors and plain values, so that nothing in it can run code.

    Raises UserError in one line if the file is missing, damaged, contains anything else or is not a dictionary.
    """
    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings(action="ignore"):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{file}: not there; download the authors' checkpoint first (docs/models.md)") from None
    except pickle.UnpicklingError as error:
        # Torch's own message is a page long and recommends loading the file unsafely.
        code = re.search(r"(?:GLOBAL|global|class) ([\w.]+)", str(error))
        reason = f"it refers to {code[1]}, which is code" if code else "it is not only tensors and plain values"
        raise UserError(f"{file}: refused, damaged or more than weights: {reason}; download it again") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{file}: truncated or not a PyTorch file ({reason}); download it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: contains a {type(content).__name__}, not a checkpoint of the authors")
    return content


def missing_average(content: dict[str, Any], entry: str) -> str:
    """Why the weights under `entry`, as `generator_state` names it, may not be the moving average; empty if they are.

    The paper's scores are those of the moving average.
    """
    average = GENERATOR_ENTRIES[0]
    if entry == average:
        return ""
    if entry not in GENERATOR_ENTRIES:
        return f"the file does not say whether its weights are the moving average ({average}) or the last ones"
    found = content.get(average)
    fault = _fault(found) if isinstance(found, dict) else f"is {type(found).__name__}"
    reason = fault if found else "is missing"
    return f"the last weights ({entry}), not the moving average ({average} {reason}), which the paper's scores are of"


def generator_state(content: dict[str, Any], file: Path) -> tuple[str, Mapping[str, Any]]:
    """Name and state dict of the generator in a checkpoint. A bare state dict is called "state". Raises UserError."""
    faults: list[str] = []
    for entry in (*GENERATOR_ENTRIES, "state"):
        state = content if entry == "state" else content.get(entry)
        if entry == "state" and faults:
            break
        if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
            continue
        if fault := _fault(state):
            faults.append(f"{entry} {fault}")
            continue
        return entry, state
    if faults:
        raise UserError(f"{file}: {', '.join(faults)}: no weights to generate with; take an earlier checkpoint")
    keys = ", ".join(map(str, list(content)[:5])) or "nothing"
    raise UserError(
        f"{file}: contains neither {' nor '.join(GENERATOR_ENTRIES)} (but {keys}); "
        "give a checkpoint published by the authors"
    )


def _fault(state: Mapping[str, Any]) -> str:
    """Why no image can come from these weights: NaN or infinity in them, or nothing but zeros. Empty: no fault."""
    numbers = [value for value in state.values() if isinstance(value, Tensor) and value.is_floating_point()]
    if not all(bool(torch.isfinite(value).all()) for value in numbers):
        return "contains NaN or infinity"
    if numbers and not any(bool(value.any()) for value in numbers):
        return "is nothing but zeros"
    return ""


def _numpy_scalars() -> list[Any]:
    """The globals that numpy numbers need: best_fid in the published files is one."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(name)) for name in ("float64", "float32", "int64")]
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *dtypes,
        _codecs.encode,
    ]
