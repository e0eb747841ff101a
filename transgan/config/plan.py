"""The plan: a params file at one scale, resolved to the final configuration of every run.

A run is resolved in four layers, of which later ones take precedence:

1. the base entries that the run names;
2. `scales.<scale>.<kind>.<name>`: what the scale changes in those entries;
3. `runs.<run>.changes`;
4. `scales.<scale>.runs.<run>`: what the scale changes in this run.

Dicts merge at every depth; all other values, lists included, replace.
"""

import shlex
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from transgan.config import fingerprint as fingerprints
from transgan.config.params_file import PARAMS_FILE, default_file, parse, read
from transgan.config.paths import Paths, StageName, StageSubject
from transgan.config.reference_key import ReferenceKey
from transgan.config.run_fit import check_fit
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
from transgan.schema.params import Device, Scale

Config = TypeVar("Config", bound=Strict)

OUTSIDE_A_PROJECT = "paper"  # the scale where there is no project


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


@dataclass(frozen=True)
class Plan:
    """A params file at one scale: resolved entries, runs, fingerprints and paths."""

    params: Params
    scale_name: str
    file: Path
    outside_a_project: bool = False  # `file` is the one that comes with this package, as no other was there or named
    # A run that the command line defines, and the words that name it there: transgan.config.run_changes.
    changed_run: tuple[str, tuple[str, ...]] | None = None

    def __repr__(self) -> str:
        return f"<Plan of {self.file} at scale {self.scale_name}: {len(self.params.runs)} runs>"

    @property
    def scale(self) -> Scale:
        """The scale's own entry."""
        return self.params.scales[self.scale_name]

    @property
    def device(self) -> Device:
        """Where stages compute: `execution.device`, but the CPU at a scale with `same_bytes`.

        Raises UserError if params.yaml asks for a GPU and for the same bytes on every processor.
        """
        device = self.params.execution.device
        if not self.scale.same_bytes:
            return device
        if device == "cuda":
            raise UserError(
                f"{self.file}: execution.device is cuda, but scales.{self.scale_name}.same_bytes needs the CPU; "
                "set same_bytes to false, or device to auto"
            )
        return "cpu"

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
    def scheduled_runs(self) -> dict[str, Run]:
        """The runs that Snakemake and DVC run at this scale: all but those with `skip: true`."""
        return {name: run for name, run in self.runs.items() if not self.scale.runs[name].skip}

    def published_statistics(self, run: Run) -> dict[str, str]:
        """Published statistics that a run's samples are also measured against: protocol -> file name."""
        if "fid" not in run.protocol.metrics:
            return {}
        return {
            name: protocol.statistics.files[run.dataset_name]
            for name, protocol in self.protocols.items()
            if protocol.statistics is not None
            and run.dataset_name in protocol.statistics.files
            and protocol.takes_the_samples_of(run.protocol)
        }

    def statistics_protocols(self, table: str) -> tuple[str, ...]:
        """Protocols with published statistics of a dataset whose FID a table shows, where scores are comparable."""
        columns = [column.dataset for column in self.table(table).columns if "fid" in column.metrics]
        return tuple(
            name
            for name, protocol in self.protocols.items()
            if self.scale.comparable
            and self.table(table).kind == "scores"
            and protocol.statistics is not None
            and not protocol.statistics.files.keys().isdisjoint(columns)
        )

    def table_runs(self, table: str) -> tuple[str, ...]:
        """Names of the scheduled runs that a table shows, in the table's order."""
        return tuple(run for run in self.table(table).run_names if run in self.scheduled_runs)

    def figure_runs(self, figure: str) -> tuple[str, ...]:
        """Names of the scheduled runs that a figure shows, in the figure's order."""
        return tuple(run for run in self.figure(figure).runs if run in self.scheduled_runs)

    def naming_table(self, run: str) -> str | None:
        """The first table of the params file that shows a run: it names the run in figures. None if there is none."""
        return next((name for name, table in self.params.tables.items() if run in table.run_names), None)

    def own_title(self, run: str) -> str | None:
        """The title that params.yaml gives a run which no table shows: its name in figures. None if there is none."""
        return self.params.runs[run].title if self.naming_table(run) is None else None

    def naming_tables(self, figure: str) -> tuple[str, ...]:
        """The tables that name the scheduled runs of a figure, each once."""
        named = (self.naming_table(run) for run in self.figure_runs(figure))
        return tuple(dict.fromkeys(table for table in named if table is not None))

    @property
    def score_tables(self) -> list[str]:
        """Tables of scores, whose cells are in results/<scale>/cells.csv. Tables of costs have no cells."""
        return [name for name, table in self.params.tables.items() if table.kind == "scores"]

    @property
    def tables_with_common_seeds(self) -> list[str]:
        """Tables of scores of which two rows are compared that share two or more scheduled seeds in a column."""

        def seeds(table: TableConfig, column: str) -> list[set[int]]:
            named = (row.runs.get(column, ()) for row in table.rows)
            return [{self.scheduled_runs[run].seed for run in runs if run in self.scheduled_runs} for runs in named]

        def shared(table: TableConfig) -> bool:
            columns = [seeds(table, column.dataset) for column in table.columns]
            places = {row.name: place for place, row in enumerate(table.rows)}
            pairs = [(places[a], places[b]) for a, b in table.comparisons]
            pairs = pairs or list(combinations(range(len(table.rows)), 2))
            return any(len(rows[a] & rows[b]) > 1 for rows in columns for a, b in pairs)

        return [name for name in self.score_tables if shared(self.table(name))]

    @cached_property
    def references(self) -> tuple[ReferenceKey, ...]:
        """The references that the scheduled runs are scored with. Raises UserError if two of them share a name."""
        keys = dict.fromkeys(run.reference for run in self.scheduled_runs.values())
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
        """The reference with the file name `name`, even if no run uses it, or UserError naming the nearest one."""
        keys = [ReferenceKey(dataset, protocol) for dataset in self.datasets for protocol in self.protocols]
        by_name = {str(key): key for key in (*keys, *self.references)}  # those in use come last and take precedence
        return lookup(by_name, name, "reference", self.file)

    def command(self, *words: str) -> str:
        """The command line for `words` at this scale, quoted for a shell: `transgan train NAME --scale paper`."""
        if self.changed_run:
            name, options = self.changed_run
            words = tuple(part for word in words for part in (options if word == name else (word,)))
        scale = () if self.scale_name == self.params.scale else ("--scale", self.scale_name)
        file = () if self.file == PARAMS_FILE or self.outside_a_project else ("--params", str(self.file))
        return shlex.join(("transgan", *words, *scale, *file))

    @property
    def snakemake_command(self) -> str:
        """The command line that makes all tables of this scale with Snakemake, quoted for a shell."""
        file = () if self.file == PARAMS_FILE else ("--configfile", str(self.file))
        scale = ("--config", f"scale={self.scale_name}")
        return shlex.join(("snakemake", "--cores", "all", "reproduce_tables", *file, *scale))

    @property
    def classifier_needed(self) -> bool:
        """Whether any protocol of this scale scores with the demo classifier."""
        return any(protocol.extractor == "digits" for protocol in self.protocols.values())

    def ingredients(self, stage: StageName, subject: StageSubject) -> dict[str, Any]:
        """The resolved configuration that the result of a stage depends on."""
        return fingerprints.ingredients(self, stage, subject)

    def fingerprint(self, stage: StageName, subject: StageSubject) -> str:
        """16 hex digits that change exactly when something changes that the result of the stage depends on."""
        if (stage, subject) not in self._fingerprints:
            self._fingerprints[stage, subject] = fingerprints.digest(self.ingredients(stage, subject))
        return self._fingerprints[stage, subject]

    @cached_property
    def _fingerprints(self) -> dict[tuple[StageName, StageSubject], str]:
        return {}

    def unscaled(self, run: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The model and the recipe of a run without any scale's changes, as plain data that is not yet validated."""
        entry = self.params.runs[run]
        model, recipe = self.params.models[entry.model].plain(), self.params.recipes[entry.recipe].plain()
        return merge(model, entry.changes.model), merge(recipe, entry.changes.recipe)

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
        model, recipe = self.models[entry.model].plain(), self.recipes[entry.recipe].plain()
        for changes in (entry.changes, self.scale.runs[name]):
            model, recipe = merge(model, changes.model), merge(recipe, changes.recipe)
        _, full_recipe = self.unscaled(name)
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
            full_images=validated(RecipeConfig, full_recipe, self.file, f"runs.{name}.changes.recipe").images,
        )
        check_fit(resolved, f"{self.file}: {where}")
        return resolved


def load(file: Path | None = None, scale: str | None = None) -> Plan:
    """Read a params file and return its plan at `scale`, by default the file's own `scale`.

    The default is params.yaml or, where there is none, the one that comes with this package, at scale `paper`: what its
    own scale `demo` scores with is computed in a project.

    Resolves every scale of the file, so that a mistake in any of them is reported at once. Raises UserError in one
    line: file, key, what is wrong, and the nearest valid name.
    """
    outside = file is None and default_file() != PARAMS_FILE
    file = file or default_file()
    params = parse(read(file), file)
    plans = {name: Plan(params, name, file, outside) for name in params.scales}
    for plan in plans.values():
        _resolve_all(plan)
    plan = lookup(plans, scale or (OUTSIDE_A_PROJECT if outside else params.scale), "scale", file)
    _check_scale_is_its_own(plan)
    return plan


def _resolve_all(plan: Plan) -> None:
    """Raise UserError if anything in the plan is wrong."""
    _ = plan.runs, plan.classifiers, plan.references
    for figure in plan.params.figures:
        if not plan.figure_runs(figure):
            raise UserError(
                f"{plan.file}: figures.{figure}: scale {plan.scale_name} skips all of its runs; "
                "name one that it does not skip"
            )


def _check_scale_is_its_own(plan: Plan) -> None:
    """Raise UserError if another params file uses a scale's name of params.yaml: the two would share their folders."""
    if plan.file == PARAMS_FILE or not PARAMS_FILE.exists() or plan.file.samefile(PARAMS_FILE):
        return
    if plan.scale_name in (read(PARAMS_FILE).get("scales") or {}):
        raise UserError(
            f"{plan.file}: scales.{plan.scale_name}: {PARAMS_FILE} has a scale of that name, "
            "whose results this one would replace; rename it here"
        )
