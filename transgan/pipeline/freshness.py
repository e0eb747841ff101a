"""Decides whether declared outputs are those of the plan. It reads what they carry and ignores file times.

The result of every costly stage carries its fingerprint and the digest of the data it depends on. So outputs are
recognized whether Snakemake, DVC or a user created them, `dvc checkout` restored them, or they were copied from another
machine. Tables, cells and figures carry no fingerprint; `remember` records it.
"""

import json
import struct
from pathlib import Path
from typing import Any, Literal

from transgan.config.fingerprint import digest
from transgan.config.paths import MANIFEST, SOURCE, StageName, StageSubject
from transgan.config.plan import Plan, Run
from transgan.config.reference_key import ReferenceKey
from transgan.errors import UserError
from transgan.pipeline.recorded_digests import check_unchanged, looks_unchanged
from transgan.pipeline.stages import STATISTICS, Stage
from transgan.pipeline.workspace import FINISHED, INGREDIENTS, OUTPUTS
from transgan.utils import files
from transgan.utils.npz import read_npz

Freshness = Literal["current", "stale", "missing", "unknown"]

_LONGEST_HEADER = 100_000_000  # the limit of safetensors; a damaged file may claim any length

# The output that carries the fingerprint, if it is not the first one.
_CARRIERS = {"prepare": MANIFEST, "train": "run.json"}


def freshness(plan: Plan, stages: dict[str, Stage]) -> dict[str, Freshness]:
    """The freshness of every stage, by its key. `stages` must be in the order of the graph.

    - current: computed under this fingerprint, from the present data
    - stale: computed under another fingerprint, from other data, or from a stale input; or changed or damaged since
    - missing: an output does not exist, other than provenance.json, which `dvc pull` does not bring
    - unknown: nothing is recorded
    """
    producer = {path: stage.key for stage in stages.values() for path in stage.outputs}
    fresh: dict[str, Freshness] = {}
    for stage in stages.values():
        upstream = {fresh[producer[path]] for path in stage.inputs if path in producer}
        own = _own_freshness(plan, stage)
        fresh[stage.key] = "stale" if own in ("current", "unknown") and "stale" in upstream else own
    return fresh


def remember(plan: Plan, stage: Stage) -> None:
    """Record that the present outputs of a stage table, cells or figure belong to its fingerprint."""
    record = _recorded(plan, stage)
    known = record.setdefault(_digest(stage), [])
    if stage.fingerprint not in known:
        known.append(stage.fingerprint)
    files.write_json(_record_file(plan, stage), record)


def check_recorded(plan: Plan, stage: Stage) -> None:
    """Raise UserError if the outputs of a stage table, cells or figure are none that `remember` has recorded.

    Where nothing is recorded, or an output is missing, there is nothing to compare.
    """
    record = _recorded(plan, stage)
    if record and all(path.is_file() for path in stage.outputs) and _digest(stage) not in record:
        names = ", ".join(map(str, stage.outputs))
        raise UserError(
            f"{names}: changed or damaged since written; run `{plan.command(stage.verb, *stage.arguments)}` again"
        )


def embedded_metadata(path: Path) -> dict[str, Any]:
    """The metadata that a result carries: the content of a JSON file, the metadata of a safetensors file, or the member
    `about` of an npz file. Empty if the file is missing or damaged.
    """
    try:
        match path.suffix:
            case ".safetensors":
                metadata = _safetensors_metadata(path)
            case ".npz":
                metadata = json.loads(str(read_npz(path, "about")["about"]))
            case _:
                metadata = json.loads(path.read_bytes())
    except (UserError, OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, struct.error):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _safetensors_metadata(path: Path) -> Any:
    """The metadata under the key `transgan`, without importing safetensors."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(min(length, path.stat().st_size, _LONGEST_HEADER)))
    return json.loads(header["__metadata__"]["transgan"])


def check_carrier(plan: Plan, verb: StageName, subject: StageSubject, path: Path) -> None:
    """Raise UserError if `path`, the output that carries a stage's fingerprint, was changed after it was computed."""
    fingerprint = embedded_metadata(path).get("fingerprint")
    if isinstance(fingerprint, str):
        check_unchanged(plan, verb, subject, path, fingerprint)


def require(plan: Plan, stage: StageName, subject: StageSubject, path: Path, *command: str) -> None:
    """Raise UserError, which names `command`, unless `path` exists, is unchanged and carries the stage's fingerprint.

    An orchestrator runs stages in order. A user may not, and a result that depends on another configuration's result
    must not be stored under this one.
    """
    if not path.exists():
        raise UserError(f"{path}: not there; run `{plan.command(*command)}` first")
    fingerprint = embedded_metadata(path).get("fingerprint")
    if fingerprint != plan.fingerprint(stage, subject):
        raise UserError(
            f"{path}: computed under another configuration ({fingerprint or 'it names none'}); "
            f"run `{plan.command(*command)}` first"
        )
    check_unchanged(plan, stage, subject, path, fingerprint)


def require_reference(plan: Plan, run: Run) -> Path:
    """The reference that a run is scored with. Raises UserError as `require` does."""
    path = plan.paths.reference(run.reference)
    require(plan, "reference", run.reference, path, "reference", *run.reference)
    return path


def _own_freshness(plan: Plan, stage: Stage) -> Freshness:
    """The freshness of a stage regardless of its inputs' freshness."""
    if not all(path.is_file() for path in stage.reproducible):
        return "missing"
    if stage.verb in ("table", "cells", "figure"):
        return _recorded_freshness(plan, stage)
    carrier = stage.files[_CARRIERS[stage.verb]] if stage.verb in _CARRIERS else stage.outputs[0]
    metadata = embedded_metadata(carrier)
    if metadata.get("fingerprint") != stage.fingerprint:
        return "stale"
    key, expected = _expected_data(plan, stage)
    if expected is not None and metadata.get(key, expected) != expected:
        return "stale"
    if not looks_unchanged(plan, stage):
        return "stale"
    if _used_a_replaced_result(plan, stage):
        return "stale"
    return "stale" if stage.verb == "score" and _misses_imported_statistics(plan, stage, metadata) else "current"


def _used_a_replaced_result(plan: Plan, stage: Stage) -> bool:
    """Whether a stage read a result of which this machine has another one now: computed again, with other bytes."""
    if stage.verb not in ("train", "score"):
        return False
    run = plan.run(stage.name)
    read = _in_state_folder(plan, stage.verb, stage.name, INGREDIENTS, "inputs")
    trained = _in_state_folder(plan, "train", run.name, FINISHED, OUTPUTS)
    measured = _in_state_folder(plan, "reference", run.reference, FINISHED, OUTPUTS)
    present = {"generator": trained.get("generator.safetensors"), "reference": measured.get(STATISTICS)}
    return any(digest not in (None, read.get(name, digest)) for name, digest in present.items())


def _in_state_folder(plan: Plan, verb: StageName, subject: StageSubject, file: str, key: str) -> dict[str, Any]:
    """The object `key` of a JSON file in a stage's state folder; empty if there is none."""
    path = plan.paths.workspace(verb, subject, plan.fingerprint(verb, subject)) / file
    value = embedded_metadata(path).get(key)
    return value if isinstance(value, dict) else {}


def _misses_imported_statistics(plan: Plan, stage: Stage, scores: dict[str, Any]) -> bool:
    """Whether published statistics have been imported that the scores were not measured against."""
    for protocol, file in plan.published_statistics(plan.run(stage.name)).items():
        imported = embedded_metadata(plan.paths.published_statistics(file)).get("sha256")
        measured = scores.get("settings", {}).get(protocol, {}).get("statistics_sha256")
        if imported is not None and imported != measured:
            return True
    return False


def _recorded_freshness(plan: Plan, stage: Stage) -> Freshness:
    record = _recorded(plan, stage)
    if not record:
        return "unknown"
    return "current" if stage.fingerprint in record.get(_digest(stage), []) else "stale"


def _recorded(plan: Plan, stage: Stage) -> dict[str, list[str]]:
    """Digest of outputs -> fingerprints that they belong to.

    Several, because DVC may restore an older version from its run cache without calling the command line.
    """
    try:
        record = files.read_object(_record_file(plan, stage))
    except UserError:
        return {}
    return {key: value for key, value in record.items() if isinstance(value, list)}


def _record_file(plan: Plan, stage: Stage) -> Path:
    return plan.paths.state / "made" / stage.verb / f"{stage.name}.json"


def _digest(stage: Stage) -> str:
    return digest([files.sha256(path) for path in stage.outputs])


def _expected_data(plan: Plan, stage: Stage) -> tuple[str, str | None]:
    """The key under which a result carries the digest of its data, and the digest of the present data, if any."""
    if stage.verb == "prepare":
        return "source", embedded_metadata(plan.paths.data(stage.name) / SOURCE).get("digest")
    if isinstance(stage.subject, ReferenceKey):
        dataset = stage.subject.dataset
    elif stage.verb in ("train", "score"):
        dataset = plan.run(stage.name).dataset_name
    else:
        return "data", None
    return "data", embedded_metadata(plan.paths.data(dataset) / MANIFEST).get("sha256")
