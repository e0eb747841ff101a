"""Whether declared outputs are those of the plan, told from what they carry, never from their times.

Every costly stage's result carries its fingerprint and the digest of the data it was made from. So outputs made by Snakemake, by DVC or by
hand, restored by `dvc checkout` or copied from another machine are all judged alike. Tables and figures are cheap: `remember` records them.
Imports no torch.
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
    """Judge every stage, in the order of the graph: what depends on a stale stage is stale too.

    current: made by this fingerprint from these data; stale: made by another; missing: not all there; unknown: nothing tells.
    """
    producer = {path: stage.key for stage in stages.values() for path in stage.outputs}
    judged: dict[str, Freshness] = {}
    for stage in stages.values():
        upstream = {judged[producer[path]] for path in stage.inputs if path in producer}
        own = _judge(plan, stage)
        judged[stage.key] = "stale" if own in ("current", "unknown") and "stale" in upstream else own
    return judged


def remember(plan: Plan, stage: Stage) -> None:
    """Record that a cheap stage's outputs, as they are now, are those of its fingerprint; what was recorded before stays."""
    record = _recorded(plan, stage)
    known = record.setdefault(_digest(stage), [])
    if stage.fingerprint not in known:
        known.append(stage.fingerprint)
    files.write_json(_record(plan, stage), record)


def carried(path: Path) -> dict[str, Any]:
    """What a result carries about itself: JSON content, safetensors metadata, or the member `about` of an npz. Empty if unreadable."""
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
    """Raise UserError, with the `command` that mends it, unless the result at `path` is there and is that of the stage in this plan.

    An orchestrator makes stages in order; by hand, what is made of a result of another configuration would be filed under this one.
    """
    if not path.exists():
        raise UserError(f"{path}: not there; run `{plan.command(*command)}` first")
    found = carried(path).get("fingerprint")
    if found != plan.fingerprint(stage, subject):
        raise UserError(
            f"{path}: made under another configuration ({found or 'none that it names'}); run `{plan.command(*command)}` first"
        )


def require_reference(plan: Plan, run: Run) -> Path:
    """The reference that a run is scored with. Raises UserError as `require` does."""
    path = plan.paths.reference(run.reference)
    require(plan, "reference", run.reference, path, "reference", *run.reference)
    return path


def _judge(plan: Plan, stage: Stage) -> Freshness:
    if not all(path.exists() for path in stage.outputs):
        return "missing"
    if stage.verb in ("table", "cells", "figure"):
        return _judge_remembered(plan, stage)
    marker = next((path for path in stage.outputs if path.name == _MARKERS.get(stage.verb)), stage.outputs[0])
    found = carried(marker)
    if found.get("fingerprint") != stage.fingerprint:
        return "stale"
    key, expected = _expected_data(plan, stage)
    return "stale" if expected is not None and found.get(key, expected) != expected else "current"


def _judge_remembered(plan: Plan, stage: Stage) -> Freshness:
    record = _recorded(plan, stage)
    if not record:
        return "unknown"
    return "current" if stage.fingerprint in record.get(_digest(stage), []) else "stale"


def _recorded(plan: Plan, stage: Stage) -> dict[str, list[str]]:
    """Digest of the outputs -> fingerprints they were made by: DVC may bring back an older version from its run cache without calling us."""
    try:
        record: dict[str, list[str]] = files.read_json(_record(plan, stage))
    except UserError:
        return {}
    return record


def _digest(stage: Stage) -> str:
    return digest([files.sha256(path) for path in stage.outputs])


def _expected_data(plan: Plan, stage: Stage) -> tuple[str, str | None]:
    """Under which key a result carries the digest of what it was made from, and that digest as far as it lies there now."""
    if stage.verb == "prepare":
        return "source", carried(plan.paths.data(stage.name) / "source.json").get("digest")
    if isinstance(stage.subject, ReferenceKey):
        dataset = stage.subject.dataset
    elif stage.verb in ("train", "score"):
        dataset = plan.run(stage.name).dataset_name
    else:
        return "data", None
    return "data", carried(plan.paths.data(dataset) / "manifest.json").get("sha256")


def _record(plan: Plan, stage: Stage) -> Path:
    return plan.paths.state / "made" / stage.verb / f"{stage.name}.json"


def _npz_about(path: Path) -> Any:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return json.loads(str(archive["about"]))
