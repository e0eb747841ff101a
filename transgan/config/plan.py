"""The plan: params.yaml validated and resolved to frozen runs, and the fingerprint of every stage. Imports no torch.

A run is resolved in this order: the base entries it names; `scales.S.<kind>.<name>`; the run's own changes; `scales.S.runs.<run>`.
Dicts merge, lists replace.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from transgan.config import params_file
from transgan.config.paths import Paths, StageName, StageSubject
from transgan.config.reference_key import ReferenceKey
from transgan.config.validation import lookup, validated
from transgan.errors import UserError
from transgan.schema import (
    ClassifierConfig,
    DatasetConfig,
    FigureConfig,
    ModelConfig,
    Params,
    ProtocolConfig,
    RecipeConfig,
    TableConfig,
)
from transgan.schema.base import Strict
from transgan.schema.params import Scale

# Raise a stage's version whenever what it computes changes: its finished results are then made again.
STAGE_VERSION: dict[StageName, int] = {
    "fetch": 1,
    "prepare": 1,
    "reference": 1,
    "classifier": 1,
    "train": 1,
    "score": 1,
    "table": 4,
    "cells": 1,
    "figure": 4,
}

# The part of a protocol that the reference statistics depend on; the rest concerns the generated samples only.
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

PARAMS_FILE = Path("params.yaml")

Config = TypeVar("Config", bound=Strict)


class Run(Strict):
    """One training run, fully resolved at one scale."""

    name: str
    scale: str
    seed: int
    dataset_name: str
    model_name: str
    recipe_name: str
    protocol_name: str
    dataset: DatasetConfig
    model: ModelConfig
    recipe: RecipeConfig
    protocol: ProtocolConfig
    full_images: int

    @property
    def reference(self) -> ReferenceKey:
        """The reference that the run is scored with."""
        return ReferenceKey(self.dataset_name, self.protocol_name)

    @property
    def share(self) -> float:
        """Share of the full schedule (the base recipe's images) that this scale trains."""
        return self.recipe.images / self.full_images


def merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with `change` applied: dicts merge at every depth, everything else (lists too) replaces."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of JSON-compatible data, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """A params file at one scale: resolved entries, runs, fingerprints and paths."""

    params: Params
    scale_name: str
    file: Path

    @property
    def scale(self) -> Scale:
        """The scale's own entry."""
        return self.params.scales[self.scale_name]

    @cached_property
    def paths(self) -> Paths:
        """Every path of this scale."""
        return Paths(self.scale_name)

    @cached_property
    def datasets(self) -> dict[str, DatasetConfig]:
        """Datasets at this scale."""
        return self._entries("datasets", DatasetConfig)

    @cached_property
    def models(self) -> dict[str, ModelConfig]:
        """Models at this scale, before a run's own changes."""
        return self._entries("models", ModelConfig)

    @cached_property
    def recipes(self) -> dict[str, RecipeConfig]:
        """Recipes at this scale, before a run's own changes."""
        return self._entries("recipes", RecipeConfig)

    @cached_property
    def protocols(self) -> dict[str, ProtocolConfig]:
        """Protocols at this scale."""
        return self._entries("protocols", ProtocolConfig)

    @cached_property
    def classifiers(self) -> dict[str, ClassifierConfig]:
        """Classifiers at this scale."""
        return self._entries("classifiers", ClassifierConfig)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Every run at this scale, in the order of the params file."""
        return {name: self._resolve(name) for name in self.params.runs}

    @cached_property
    def made(self) -> dict[str, Run]:
        """The runs that the front-ends make at this scale: all but those it skips."""
        return {name: run for name, run in self.runs.items() if not self.scale.runs[name].skip}

    def feeding(self, kind: Literal["tables", "figures"], name: str) -> tuple[str, ...]:
        """Names of the runs made at this scale that a table or figure is made from, in its own order."""
        runs = self.table(name).run_names if kind == "tables" else self.figure(name).runs
        return tuple(run for run in runs if run in self.made)

    @property
    def score_tables(self) -> list[str]:
        """Names of the tables of scores, whose cells results/<scale>/cells.csv gathers; tables of costs have no cells."""
        return [name for name, table in self.params.tables.items() if table.kind == "scores"]

    @cached_property
    def references(self) -> tuple[ReferenceKey, ...]:
        """The references that the runs scheduled at this scale are scored with. Raises UserError if two share a name."""
        keys = dict.fromkeys(run.reference for run in self.made.values())
        by_name: dict[str, ReferenceKey] = {}
        for key in keys:
            other = by_name.setdefault(str(key), key)
            if other != key:
                raise UserError(
                    f"{self.file}: the references of {other.dataset} under {other.protocol} and of {key.dataset} under "
                    f"{key.protocol} would both be named {key}; rename a dataset or a protocol"
                )
        return tuple(keys)

    def dataset(self, name: str) -> DatasetConfig:
        """The dataset `name`, or UserError naming the nearest one."""
        return lookup(self.datasets, name, "dataset", self.file)

    def run(self, name: str) -> Run:
        """The run `name`, or UserError naming the nearest one."""
        return lookup(self.runs, name, "run", self.file)

    def protocol(self, name: str) -> ProtocolConfig:
        """The protocol `name`, or UserError naming the nearest one."""
        return lookup(self.protocols, name, "protocol", self.file)

    def classifier(self, name: str) -> ClassifierConfig:
        """The classifier `name`, or UserError naming the nearest one."""
        return lookup(self.classifiers, name, "classifier", self.file)

    def table(self, name: str) -> TableConfig:
        """The table `name`, or UserError naming the nearest one."""
        return lookup(self.params.tables, name, "table", self.file)

    def figure(self, name: str) -> FigureConfig:
        """The figure `name`, or UserError naming the nearest one."""
        return lookup(self.params.figures, name, "figure", self.file)

    def reference(self, name: str) -> ReferenceKey:
        """The reference whose file is named `name`, whether or not a run uses it, or UserError naming the nearest one."""
        keys = [ReferenceKey(dataset, protocol) for dataset in self.datasets for protocol in self.protocols]
        by_name = {str(key): key for key in (*keys, *self.references)}  # those in use come last and take precedence
        return lookup(by_name, name, "reference", self.file)

    def command(self, *words: str) -> str:
        """The command line that a person types for `words` at this scale: `transgan train NAME --scale paper`."""
        scale = () if self.scale_name == self.params.scale else ("--scale", self.scale_name)
        file = () if self.file == PARAMS_FILE else ("--params", str(self.file))
        return " ".join(("transgan", *words, *scale, *file))

    @property
    def classifier_needed(self) -> bool:
        """Whether any protocol of this scale scores with the demo classifier."""
        return any(protocol.extractor == "digits" for protocol in self.protocols.values())

    def ingredients(self, stage: StageName, subject: StageSubject) -> dict[str, Any]:
        """The resolved configuration that a stage's result depends on; its digest is the stage's fingerprint."""
        if isinstance(subject, ReferenceKey):
            depends_on = self._reference_ingredients(subject)
        else:
            depends_on = self._ingredients(stage, subject)
        return {"stage": stage, "version": STAGE_VERSION[stage], **depends_on}

    def fingerprint(self, stage: StageName, subject: StageSubject) -> str:
        """16 hex digits that change exactly when something changes that the stage's result depends on."""
        if (stage, subject) not in self._fingerprints:
            self._fingerprints[stage, subject] = digest(self.ingredients(stage, subject))
        return self._fingerprints[stage, subject]

    @cached_property
    def _fingerprints(self) -> dict[tuple[StageName, StageSubject], str]:
        return {}

    def _reference_ingredients(self, key: ReferenceKey) -> dict[str, Any]:
        protocol = self.protocol(key.protocol)
        fields = protocol.plain()
        return {
            "protocol": {name: fields[name] for name in REFERENCE_FIELDS},
            "features": protocol.stored_features,
            "data": self.fingerprint("prepare", key.dataset),
            **self._extractor(protocol),
        }

    def _ingredients(self, stage: StageName, name: str) -> dict[str, Any]:
        match stage:
            case "fetch":
                dataset = self.dataset(name)
                return {"source": dataset.source, "path": dataset.path}
            case "prepare":
                return {"dataset": self.dataset(name).plain()}
            case "classifier":
                classifier = self.classifier(name)
                return {
                    "classifier": classifier.plain(),
                    "needed": self.classifier_needed,
                    "data": self.fingerprint("prepare", classifier.dataset),
                }
            case "reference":
                raise TypeError(f"{name!r}: a reference is identified by a ReferenceKey")
            case "train":
                run = self.run(name)
                return {
                    "data": self.fingerprint("prepare", run.dataset_name),
                    "train_splits": list(run.dataset.train_splits),
                    "resolution": run.dataset.resolution,
                    "model": run.model.plain(),
                    "recipe": run.recipe.plain(),
                    "seed": run.seed,
                    **(
                        {"reference": self.fingerprint("reference", run.reference)}
                        if run.recipe.dynamics.fid_samples
                        else {}
                    ),
                }
            case "score":
                run = self.run(name)
                return {
                    "train": self.fingerprint("train", name),
                    "protocol_name": run.protocol_name,
                    "protocol": run.protocol.plain(),
                    "reference": self.fingerprint("reference", run.reference),
                }
            case "table":
                table = self.table(name)
                runs = {run: self._cell(run) if run in self.made else self._skipped(run) for run in table.run_names}
                return {"table": table.plain(), "runs": runs, **self._said_of_scale()}
            case "cells":
                return {"tables": {name: self.fingerprint("table", name) for name in self.score_tables}}
            case "figure":
                figure = self.figure(name)
                return {
                    "figure": figure.plain(),
                    "runs": {run: self.fingerprint("score", run) for run in self.feeding("figures", name)},
                    **({"table": self.table(figure.table).plain()} if figure.table else {}),
                    **self._said_of_scale(),
                }

    def _cell(self, run: str) -> dict[str, Any]:
        return {"score": self.fingerprint("score", run), "share": self.run(run).share}

    def _skipped(self, run: str) -> dict[str, Any]:
        """What the cost of a run depends on that a table says instead of its scores: as the scale has it, and in full."""
        resolved, entry = self.run(run), self.params.runs[run]
        full = {
            "dataset": self.params.datasets[entry.dataset].resolution,
            "model": merge(self.params.models[entry.model].plain(), entry.changes.model),
            "recipe": merge(self.params.recipes[entry.recipe].plain(), entry.changes.recipe),
        }
        return {"skipped": {"model": resolved.model.plain(), "recipe": resolved.recipe.plain(), "full": full}}

    def _said_of_scale(self) -> dict[str, Any]:
        return {"comparable": self.scale.comparable, "description": self.scale.description}

    def _extractor(self, protocol: ProtocolConfig) -> dict[str, Any]:
        if protocol.extractor != "digits":
            return {}
        return {"classifiers": {name: self.fingerprint("classifier", name) for name in self.classifiers}}

    def _entries(self, kind: str, config: type[Config]) -> dict[str, Config]:
        base: dict[str, Config] = getattr(self.params, kind)
        changes: dict[str, dict[str, Any]] = getattr(self.scale, kind)
        return {
            name: validated(
                config, merge(entry.plain(), changes[name]), self.file, f"scales.{self.scale_name}.{kind}.{name}"
            )
            for name, entry in base.items()
        }

    def _resolve(self, name: str) -> Run:
        entry = self.params.runs[name]
        layers = (entry.changes, self.scale.runs[name])
        model, recipe = self.models[entry.model].plain(), self.recipes[entry.recipe].plain()
        for layer in layers:
            model, recipe = merge(model, layer.model), merge(recipe, layer.recipe)
        full = merge(self.params.recipes[entry.recipe].plain(), entry.changes.recipe)
        where = f"runs.{name} at scale {self.scale_name}"
        resolved = Run(
            name=name,
            scale=self.scale_name,
            seed=entry.seed,
            dataset_name=entry.dataset,
            model_name=entry.model,
            recipe_name=entry.recipe,
            protocol_name=entry.protocol,
            dataset=self.dataset(entry.dataset),
            model=validated(ModelConfig, model, self.file, where),
            recipe=validated(RecipeConfig, recipe, self.file, where),
            protocol=self.protocol(entry.protocol),
            full_images=validated(RecipeConfig, full, self.file, f"runs.{name}.changes.recipe").images,
        )
        _check_sizes(resolved, f"{self.file}: {where}")
        return resolved


def load(file: Path | None = None, scale: str | None = None) -> Plan:
    """Read a params file (params.yaml by default) and resolve every scale of it, so that no mistake waits for its turn.

    Raises UserError in one line: file, key, what is wrong, and the nearest right name.
    """
    file = file or PARAMS_FILE
    params = parse(read(file), file)
    plans = {name: Plan(params, name, file) for name in params.scales}
    for plan in plans.values():
        _ = plan.runs, plan.classifiers, plan.references
        for figure in params.figures:
            if not plan.feeding("figures", figure):
                raise UserError(
                    f"{file}: figures.{figure}: scale {plan.scale_name} skips all of its runs; name one that it makes"
                )
    found = lookup(plans, scale or params.scale, "scale", file)
    _check_scale_is_its_own(found)
    return found


def _check_scale_is_its_own(plan: Plan) -> None:
    """Results and state lie in folders named after the scale: two files that shared one would replace each other's."""
    if plan.file == PARAMS_FILE or not PARAMS_FILE.exists() or plan.file.samefile(PARAMS_FILE):
        return
    if plan.scale_name in (read(PARAMS_FILE).get("scales") or {}):
        raise UserError(
            f"{plan.file}: scales.{plan.scale_name}: {PARAMS_FILE} has a scale of that name, whose results these would replace; rename it here"
        )


def read(file: Path) -> dict[str, Any]:
    """The YAML of a params file as plain data."""
    try:
        content = params_file.load(file.read_text())
    except FileNotFoundError:
        raise UserError(f"{file}: not there; run this in the project's root or name a file with --params") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{file}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: must be a mapping with the keys {', '.join(Params.model_fields)}")
    return content


def parse(content: dict[str, Any], file: Path) -> Params:
    """Validate plain data as Params, names included: every name that is referred to must exist in every scale."""
    params = validated(Params, content, file, "")
    kinds: dict[str, Mapping[str, object]] = {
        "dataset": params.datasets,
        "model": params.models,
        "recipe": params.recipes,
        "protocol": params.protocols,
    }
    for name, run in params.runs.items():
        for kind, entries in kinds.items():
            lookup(entries, getattr(run, kind), kind, file, where=f"runs.{name}.{kind}: ")
    for name, classifier in params.classifiers.items():
        lookup(params.datasets, classifier.dataset, "dataset", file, where=f"classifiers.{name}.dataset: ")
    for kind, users in (
        ("tables", {k: v.run_names for k, v in params.tables.items()}),
        ("figures", {k: v.runs for k, v in params.figures.items()}),
    ):
        for name, runs in users.items():
            for run_name in runs:
                lookup(params.runs, run_name, "run", file, where=f"{kind}.{name}: ")
    for name, figure in params.figures.items():
        if figure.table is not None:
            lookup(params.tables, figure.table, "table", file, where=f"figures.{name}.table: ")
    for scale_name, scale in params.scales.items():
        for kind in ("datasets", "models", "recipes", "protocols", "classifiers", "runs"):
            entries, changes = getattr(params, kind), getattr(scale, kind)
            for name in changes:
                lookup(entries, name, kind.removesuffix("s"), file, where=f"scales.{scale_name}.{kind}: ")
            for name in entries:
                if name not in changes:
                    raise UserError(
                        f"{file}: scales.{scale_name}.{kind}: {name} is missing; list it, with {{}} if the scale changes nothing"
                    )
    return params


def _check_sizes(run: Run, where: str) -> None:
    model, resolution = run.model, run.dataset.resolution
    if model.generator.resolution != resolution:
        raise UserError(
            f"{where}: the generator makes {model.generator.resolution} pixels, the dataset {run.dataset_name} has {resolution}"
        )
    try:
        model.discriminator.check_resolution(resolution)
    except ValueError as error:
        raise UserError(f"{where}: model.discriminator: {error}") from None
    splits = [split.name for split in run.dataset.splits]
    for name in run.protocol.splits:
        if name not in splits:
            raise UserError(
                f"{where}: protocol {run.protocol_name} wants the split {name!r} of {run.dataset_name}, which has: {', '.join(splits)}"
            )
