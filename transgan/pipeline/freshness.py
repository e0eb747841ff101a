"""Checks whether declared outputs match the plan, by the fingerprints in them and never by file times.

The result of every costly stage carries its fingerprint and the digest of its data. The check is the same for
outputs of Snakemake, of DVC or of a command typed by hand, for outputs that `dvc checkout` restored, and for copies from
another machine. Tables and figures carry no fingerprint; `remember` records the digests of their files.
"""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any, Literal

from transgan.config.fingerprint import digest
from transgan.config.paths import StageName, StageSubject
from transgan.config.plan import Plan, Run
from transgan.config.reference_key import ReferenceKey
from transgan.errors import UserError
from transgan.pipeline.stages import Stage
from transgan.utils import files

Freshness = Literal["current", "stale", "missing", "unknown"]

_LONGEST_HEADER = 100_000_000  # safetensors' own limit; a damaged file may claim any length

_MARKERS = {"fetch": "source.json", "prepare": "manifest.json", "train": "run.json"}


def freshness(plan: Plan, stages: dict[str, Stage]) -> dict[str, Freshness]:
    """State of every stage, in the order of the graph. A stage that depends on a stale one is stale, too.

    current: has the plan's fingerprint and data; stale: has another; missing: an output is missing; unknown: no record.
    """
    producer = {path: stage.key for stage in stages.values() for path in stage.outputs}
    states: dict[str, Freshness] = {}
    for stage in stages.values():
        upstream = {states[producer[path]] for path in stage.inputs if path in producer}
        own = _state(plan, stage)
        states[stage.key] = "stale" if own in ("current", "unknown") and "stale" in upstream else own
    return states


def remember(plan: Plan, stage: Stage) -> None:
    """Record that the present outputs of a cheap stage belong to its fingerprint. Earlier records stay."""
    record = _recorded(plan, stage)
    known = record.setdefault(_digest(stage), [])
    if stage.fingerprint not in known:
        known.append(stage.fingerprint)
    files.write_json(_record(plan, stage), record)


def embedded_metadata(path: Path) -> dict[str, Any]:
    """A result's own metadata: JSON content, safetensors metadata or the npz member `about`. Empty if unreadable."""
    try:
        match path.suffix:
            case ".safetensors":
                with path.open("rb") as file:
                    (length,) = struct.unpack("<Q", file.read(8))
                    value = json.loads(json.loads(file.read(min(length, _LONGEST_HEADER)))["__metadata__"]["transgan"])
            case ".npz":
                value = _npz_about(path)
            case _:
                value = json.loads(path.read_text())
    except (OSError, EOFError, ValueError, KeyError, struct.error, zipfile.BadZipFile):
        return {}
    return value if isinstance(value, dict) else {}


def require(plan: Plan, stage: StageName, subject: StageSubject, path: Path, *command: str) -> None:
    """Raise UserError with the `command` to run unless `path` exists and belongs to this stage of this plan.

    Front-ends run stages in order, but a user may call one by hand after an edit. Without this check, a result based on
    another configuration would be stored under this one.
    """
    if not path.exists():
        raise UserError(f"{path}: not there; run `{plan.command(*command)}` first")
    fingerprint = embedded_metadata(path).get("fingerprint")
    if fingerprint != plan.fingerprint(stage, subject):
        raise UserError(
            f"{path}: made under another configuration ({fingerprint or 'no fingerprint'}); run `{plan.command(*command)}` first"
        )


def require_reference(plan: Plan, run: Run) -> Path:
    """The reference that a run is scored with. Raises UserError as `require` does."""
    path = plan.paths.reference(run.reference)
    require(plan, "reference", run.reference, path, "reference", *run.reference)
    return path


def _state(plan: Plan, stage: Stage) -> Freshness:
    if not all(path.exists() for path in stage.outputs):
        return "missing"
    if stage.verb in ("table", "cells", "figure"):
        return _recorded_state(plan, stage)
    marker = next((path for path in stage.outputs if path.name == _MARKERS.get(stage.verb)), stage.outputs[0])
    metadata = embedded_metadata(marker)
    if metadata.get("fingerprint") != stage.fingerprint:
        return "stale"
    key, expected = _expected_data(plan, stage)
    return "stale" if expected is not None and metadata.get(key, expected) != expected else "current"


def _recorded_state(plan: Plan, stage: Stage) -> Freshness:
    record = _recorded(plan, stage)
    if not record:
        return "unknown"
    return "current" if stage.fingerprint in record.get(_digest(stage), []) else "stale"


def _recorded(plan: Plan, stage: Stage) -> dict[str, list[str]]:
    """Digest of the outputs -> their fingerprints. DVC may restore older outputs from its run cache without a call."""
    try:
        record: dict[str, list[str]] = files.read_json(_record(plan, stage))
    except UserError:
        return {}
    return record


def _digest(stage: Stage) -> str:
    return digest([files.sha256(path) for path in stage.outputs])


def _expected_data(plan: Plan, stage: Stage) -> tuple[str, str | None]:
    """The key under which a result stores the digest of its data, and the digest of the data present now (or None)."""
    if stage.verb == "prepare":
        return "source", embedded_metadata(plan.paths.data(stage.name) / "source.json").get("digest")
    if isinstance(stage.subject, ReferenceKey):
        dataset = stage.subject.dataset
    elif stage.verb in ("train", "score"):
        dataset = plan.run(stage.name).dataset_name
    else:
        return "data", None
    return "data", embedded_metadata(plan.paths.data(dataset) / "manifest.json").get("sha256")


def _record(plan: Plan, stage: Stage) -> Path:
    return plan.paths.state / "made" / stage.verb / f"{stage.name}.json"


def _npz_about(path: Path) -> Any:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return json.loads(str(archive["about"]))
