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
    run_json_sha256: str | None = None  # of the result that it describes; results of earlier versions lack it


def check_trained(plan: Plan, run: str, path: Path) -> None:
    """Raise UserError if `path`, an output of a run's training, was changed after training wrote it."""
    recorded = embedded_metadata(plan.paths.run(run) / RECORD).get("fingerprint")
    fingerprint = recorded if isinstance(recorded, str) else plan.fingerprint("train", run)
    check_unchanged(plan, "train", run, path, fingerprint)


def read_record(plan: Plan, run: str) -> dict[str, Any] | None:
    """The content of a run's run.json, None if there is none. Raises UserError when it is damaged or was changed."""
    path = plan.paths.run(run) / RECORD
    if not path.exists():
        return None
    content = _checked(plan, run, path, _Record)
    check_trained(plan, run, path)
    return content


def read_provenance(plan: Plan, run: str) -> dict[str, Any]:
    """The content of the provenance.json of a run's result. Raises UserError as `read_record` does.

    DVC does not store that file, so after `dvc checkout` or `dvc pull` it may be missing, or be that of another result.
    Then the one in the state folder that computed the result counts. Empty if there is none.
    """
    folder = plan.paths.run(run)
    path = folder / PROVENANCE
    if path.exists():
        content = _checked(plan, run, path, _Provenance)
        described = content.get("run_json_sha256")
        if described is None or not (folder / RECORD).exists() or described == files.sha256(folder / RECORD):
            check_trained(plan, run, path)
            return content
    return _provenance_in_state(plan, run) or {}


def _provenance_in_state(plan: Plan, run: str) -> dict[str, Any] | None:
    record = plan.paths.run(run) / RECORD
    fingerprint = embedded_metadata(record).get("fingerprint")
    if not isinstance(fingerprint, str):
        return None
    folder = plan.paths.workspace("train", run, fingerprint)
    own = folder / RECORD
    if not own.exists() or not (folder / PROVENANCE).exists() or own.read_bytes() != record.read_bytes():
        return None
    return _checked(plan, run, folder / PROVENANCE, _Provenance)


def _checked(plan: Plan, run: str, path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """The content of a file of training. Raises UserError when its types are not those of `model`."""
    content = files.read_object(path, plan.command("train", run))
    try:
        model.model_validate(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise files.damaged_json(path, reason, plan.command("train", run)) from None
    return content
