"""The files that training writes for a run, read with their types and digests checked: run.json, provenance.json."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from transgan.config.plan import Plan
from transgan.pipeline.freshness import embedded_metadata
from transgan.pipeline.recorded_digests import check_unchanged
from transgan.pipeline.stages import PROVENANCE
from transgan.utils import files

RECORD = "run.json"


class _Record(BaseModel):
    run: str
    fingerprint: str
    data: str
    images: int


class _Hardware(BaseModel):
    cpu: str | None = None
    cores: int | None = None
    gpus: list[str] = []


class _Training(BaseModel):
    training_seconds: float
    images_per_second: float


class _Provenance(BaseModel):
    started: str
    finished: str
    commit: str | None = None
    dirty: bool | None = None
    mlflow_run_id: str | None = None
    hardware: _Hardware = _Hardware()
    libraries: dict[str, str] = {}
    training: _Training | None = None


def check_trained(plan: Plan, run: str, path: Path) -> None:
    """Raise UserError if `path`, an output of a run's training, was changed after training wrote it."""
    recorded = embedded_metadata(plan.paths.run(run) / RECORD).get("fingerprint")
    fingerprint = recorded if isinstance(recorded, str) else plan.fingerprint("train", run)
    check_unchanged(plan, "train", run, path, fingerprint)


def read_record(plan: Plan, run: str) -> dict[str, Any] | None:
    """The content of a run's run.json, None if there is none. Raises UserError when it is damaged or was changed."""
    return _read(plan, run, RECORD, _Record)


def read_provenance(plan: Plan, run: str) -> dict[str, Any]:
    """The content of a run's provenance.json, empty if there is none. Raises UserError as `read_record` does."""
    return _read(plan, run, PROVENANCE, _Provenance) or {}


def _read(plan: Plan, run: str, name: str, model: type[BaseModel]) -> dict[str, Any] | None:
    path = plan.paths.run(run) / name
    if not path.exists():
        return None
    content = files.read_object(path, plan.command("train", run))
    try:
        model.model_validate(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise files.damaged_json(path, reason, plan.command("train", run)) from None
    check_trained(plan, run, path)
    return content
