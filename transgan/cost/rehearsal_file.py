"""What `transgan rehearse` measured, by device and run: state/<scale>/rehearsal.json, which `transgan plan` reads.

Imports no torch, so that `transgan plan` starts quickly.
"""

import logging
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from transgan.config.fingerprint import digest
from transgan.config.plan import Plan, Run
from transgan.cost import counts
from transgan.hardware.info import device_name
from transgan.pipeline.freshness import embedded_metadata
from transgan.utils import files
from transgan.utils.locks import lock

logger = logging.getLogger(__name__)

FITS, DOES_NOT_FIT, SHAPES = "fits", "does not fit", "shapes only"


@dataclass(frozen=True)
class Rehearsal:
    """One run on one device.

    `batch` is the number of real images of a discriminator step here: a device's share of the recipe's batch, on a CPU
    the smallest possible one. Values that were not measured are None. `error` is the reason where the run does not fit
    or cannot run; `stages` maps each later step of the pipeline to "ok" or to what failed.
    """

    key: str
    batch: int
    result: str  # FITS, DOES_NOT_FIT or SHAPES
    micro_batch: int  # most images in one forward pass, as the recipe says
    largest_micro_batch: int | None
    peak_gib: float | None
    seconds_per_image: float | None  # device-seconds per real image; only on a GPU
    error: str | None
    stages: dict[str, str]

    @property
    def conclusive(self) -> bool:
        """Whether all was tried and worked. Anything else is tried again, since the cause may be gone."""
        return not self.failed and not any(result.startswith("not tried") for result in self.stages.values())

    @property
    def failed(self) -> list[str]:
        """What went wrong, a line each."""
        later = [f"{stage}: {result}" for stage, result in self.stages.items() if result.startswith("failed")]
        return [*([self.error] if self.error else []), *later]


def key(run: Run) -> str:
    """What a measurement depends on besides the device: the run's operations, precision, compilation and PyTorch."""
    recipe = run.recipe
    precision = {"precision": recipe.precision, "compile": recipe.compile}
    return digest({"counts": counts.key(run), **precision, "torch": version("torch")})


def path(plan: Plan) -> Path:
    """The file of a scale's rehearsals."""
    return plan.paths.state / "rehearsal.json"


def write(plan: Plan, run: Run, rehearsal: Rehearsal, device: str) -> None:
    """Record a run's rehearsal on a device, in place of an earlier one."""
    # Another rehearsal, of other runs, may be writing to the file as well.
    with lock(path(plan).with_name(".rehearsal.lock"), "rehearsal.json", wait=True):
        content = embedded_metadata(path(plan))
        recorded = content.get(device)
        others = recorded if isinstance(recorded, dict) else {}
        files.write_json(path(plan), {**content, device: {**others, run.name: asdict(rehearsal)}})


def devices(plan: Plan) -> list[str]:
    """Names of the devices on which runs of a scale were rehearsed."""
    return list(embedded_metadata(path(plan)))


def read(plan: Plan, run: Run, device: str | None = None) -> Rehearsal | None:
    """The rehearsal of a run as it now is, on `device` or this machine's; None without one."""
    name = device or device_name(cpu=plan.params.execution.device == "cpu")
    recorded = embedded_metadata(path(plan)).get(name)
    entry: Any = recorded.get(run.name) if isinstance(recorded, dict) else None
    if not isinstance(entry, dict) or set(entry) != {field.name for field in fields(Rehearsal)}:
        return None  # none, or one of another version of this project
    try:
        rehearsal = TypeAdapter(Rehearsal).validate_python(entry)
    except ValidationError:
        logger.warning(f"{path(plan)}: the entry of {run.name} is damaged; run `transgan rehearse {run.name}` again")
        return None
    return rehearsal if rehearsal.key == key(run) else None
