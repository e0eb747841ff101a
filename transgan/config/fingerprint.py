"""What the result of each stage depends on. The fingerprint of a stage is a digest of these ingredients.

`Plan.fingerprint` computes and caches the digest. Stages refer to one another by fingerprint, so a change in an early
stage reaches all stages that depend on it.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from transgan.config.paths import StageName, StageSubject
from transgan.config.reference_key import ReferenceKey
from transgan.schema import ProtocolConfig

if TYPE_CHECKING:
    from transgan.config.plan import Plan

# Raise the version of a stage whenever what it computes changes: its finished results are then computed again.
STAGE_VERSION: dict[StageName, int] = {
    "fetch": 2,
    "prepare": 2,
    "reference": 1,
    "classifier": 2,
    "train": 2,
    "score": 1,
    "table": 6,
    "cells": 2,
    "figure": 7,
}

# The fields of a protocol that the reference statistics depend on. The others concern the generated samples only.
REFERENCE_FIELDS = (
    "extractor",
    "weights",
    "feature_layer",
    "splits",
    "reference_samples",
    "batch",
    "precision",
    "threads",
)


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of JSON-compatible data, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def ingredients(plan: "Plan", stage: StageName, subject: StageSubject) -> dict[str, Any]:
    """The resolved configuration that the result of a stage depends on, as JSON-compatible data."""
    return {"stage": stage, "version": STAGE_VERSION[stage], **_depends_on(plan, stage, subject)}


def _depends_on(plan: "Plan", stage: StageName, subject: StageSubject) -> dict[str, Any]:
    if isinstance(subject, ReferenceKey):
        return _reference(plan, subject)
    match stage:
        case "fetch":
            return _fetch(plan, subject)
        case "prepare":
            return {"dataset": plan.dataset(subject).plain()}
        case "classifier":
            return _classifier(plan, subject)
        case "reference":
            raise TypeError(f"{subject!r}: a reference is identified by a ReferenceKey")
        case "train":
            return _train(plan, subject)
        case "score":
            return _score(plan, subject)
        case "table":
            return _table(plan, subject)
        case "cells":
            return {"tables": {name: plan.fingerprint("table", name) for name in plan.score_tables}}
        case "figure":
            return _figure(plan, subject)


def _fetch(plan: "Plan", name: str) -> dict[str, Any]:
    dataset = plan.dataset(name)
    # CelebA's landmarks are a file that only this crop reads.
    landmarks = {"crop": dataset.crop} if dataset.crop == "landmarks" else {}
    return {"source": dataset.source, "path": dataset.path, **landmarks}


def _classifier(plan: "Plan", name: str) -> dict[str, Any]:
    classifier = plan.classifier(name)
    return {
        "classifier": classifier.plain(),
        "needed": plan.classifier_needed,
        "data": plan.fingerprint("prepare", classifier.dataset),
        **_same_bytes(plan),
    }


def _reference(plan: "Plan", key: ReferenceKey) -> dict[str, Any]:
    protocol = plan.protocol(key.protocol)
    fields = protocol.plain()
    return {
        "protocol": {name: fields[name] for name in REFERENCE_FIELDS},
        "features": protocol.stored_features,
        "data": plan.fingerprint("prepare", key.dataset),
        **_extractor(plan, protocol),
        **_same_bytes(plan),
    }


def _extractor(plan: "Plan", protocol: ProtocolConfig) -> dict[str, Any]:
    if protocol.extractor != "digits":
        return {}
    return {"classifiers": {name: plan.fingerprint("classifier", name) for name in plan.classifiers}}


def _train(plan: "Plan", name: str) -> dict[str, Any]:
    run = plan.run(name)
    depends_on = {
        "data": plan.fingerprint("prepare", run.dataset_name),
        "train_splits": list(run.dataset.train_splits),
        "resolution": run.dataset.resolution,
        "model": run.model.plain(),
        "recipe": run.recipe.plain(),
        "seed": run.seed,
        **_same_bytes(plan),
    }
    if run.recipe.dynamics.fid_samples:
        depends_on["reference"] = plan.fingerprint("reference", run.reference)
    return depends_on


def _score(plan: "Plan", name: str) -> dict[str, Any]:
    run = plan.run(name)
    return {
        "train": plan.fingerprint("train", name),
        "protocol_name": run.protocol_name,
        "protocol": run.protocol.plain(),
        "reference": plan.fingerprint("reference", run.reference),
        **_same_bytes(plan),
    }


def _table(plan: "Plan", name: str) -> dict[str, Any]:
    table = plan.table(name)
    runs = {
        run: _scored_run(plan, run) if run in plan.scheduled_runs else _skipped_run(plan, run)
        for run in table.run_names
    }
    published = {protocol: plan.protocol(protocol).plain() for protocol in plan.statistics_protocols(name)}
    return {"table": table.plain(), "runs": runs, **({"published": published} if published else {}), **_scale(plan)}


def _scored_run(plan: "Plan", name: str) -> dict[str, Any]:
    return {"score": plan.fingerprint("score", name), "share": plan.run(name).share}


def _skipped_run(plan: "Plan", name: str) -> dict[str, Any]:
    """What the cost of a skipped run depends on, at this scale and with the full schedule: its cells show the cost."""
    run = plan.run(name)
    model, recipe = plan.unscaled(name)
    full = {"dataset": plan.params.datasets[run.dataset_name].resolution, "model": model, "recipe": recipe}
    return {"skipped": {"model": run.model.plain(), "recipe": run.recipe.plain(), "full": full}}


def _figure(plan: "Plan", name: str) -> dict[str, Any]:
    figure = plan.figure(name)
    naming = {table: plan.table(table).plain() for table in plan.naming_tables(name)}
    depends_on = {
        "figure": figure.plain(),
        "titles": {table: {key: content[key] for key in ("rows", "columns")} for table, content in naming.items()},
        "runs": {run: plan.fingerprint("score", run) for run in plan.figure_runs(name)},
        **_scale(plan),
    }
    own_titles = {run: title for run in plan.figure_runs(name) if (title := plan.own_title(run))}
    if own_titles:
        depends_on["own_titles"] = own_titles
    if figure.table:
        depends_on["table"] = plan.table(figure.table).plain()
    return depends_on


def _same_bytes(plan: "Plan") -> dict[str, bool]:
    """Whether instructions are limited. Empty where they are not, so that such fingerprints stay as they were."""
    return {"same_bytes": True} if plan.scale.same_bytes else {}


def _scale(plan: "Plan") -> dict[str, Any]:
    """The properties of the scale that tables and figures print."""
    return {"comparable": plan.scale.comparable, "description": plan.scale.description}
