"""The graph of stages that Snakemake and DVC run: the command, inputs, outputs and resources of each stage.

Snakemake's rules read this graph. dvc.yaml states the same in DVC's language, and a test compares the two.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transgan.config.paths import CONTACT, IMAGES, LABELS, MANIFEST, SOURCE, StageName, StageSubject
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey

PACK_FILES = (IMAGES, LABELS, MANIFEST)
PROVENANCE = "provenance.json"
HISTORY = "history.csv"
RUN_FILES = ("generator.safetensors", "run.json", HISTORY, "samples.png", "dynamics.npz", PROVENANCE)

# Names in the state folder of outputs whose declared names differ.
CLASSIFIER = "classifier.safetensors"
STATISTICS = "statistics.npz"
SCORES, METRICS = "scores.json", "metrics.json"


@dataclass(frozen=True)
class Stage:
    """One call of the command line, as Snakemake and DVC see it. Paths are relative to the project's root."""

    verb: StageName
    subject: StageSubject
    inputs: tuple[Path, ...]
    files: Mapping[str, Path]  # name of an output in the state folder (if the stage has one) -> declared path
    fingerprint: str
    threads: int = 1
    devices: int = 0

    @property
    def name(self) -> str:
        """The subject as one word."""
        return str(self.subject)

    @property
    def key(self) -> str:
        """Verb and name, as DVC writes them."""
        return f"{self.verb}@{self.name}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of the command line."""
        if isinstance(self.subject, ReferenceKey):
            return (self.subject.dataset, self.subject.protocol)
        return () if self.verb == "cells" else (self.subject,)

    @property
    def command(self) -> str:
        """The command line, without its options."""
        return shlex.join(("transgan", self.verb, *self.arguments))

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The declared paths of the outputs."""
        return tuple(self.files.values())

    @property
    def reproducible(self) -> tuple[Path, ...]:
        """The outputs that have the same bytes whenever and wherever they are computed: all but provenance.json."""
        return tuple(path for name, path in self.files.items() if name != PROVENANCE)


def stages(plan: Plan) -> dict[str, Stage]:
    """Every scheduled stage of a plan by its key, in an order in which they can run."""
    return {stage.key: stage for stage in _scheduled(plan)}


def stage(plan: Plan, verb: StageName, subject: StageSubject) -> Stage:
    """One stage of a plan, also if the scale skips its run. Raises UserError if nothing has that name."""
    if isinstance(subject, ReferenceKey):
        return _reference(plan, subject)
    match verb:
        case "fetch":
            return _fetch(plan, subject)
        case "prepare":
            return _prepare(plan, subject)
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
            return _cells(plan)
        case "figure":
            return _figure(plan, subject)


def _scheduled(plan: Plan) -> Iterator[Stage]:
    for name in plan.datasets:
        yield _fetch(plan, name)
        yield _prepare(plan, name)
    for name in plan.classifiers:
        yield _classifier(plan, name)
    for key in plan.references:
        yield _reference(plan, key)
    for name in plan.scheduled_runs:
        yield _train(plan, name)
        yield _score(plan, name)
    for name in plan.params.tables:
        yield _table(plan, name)
    if plan.score_tables:
        yield _cells(plan)
    for name in plan.params.figures:
        yield _figure(plan, name)


def _fetch(plan: Plan, name: str) -> Stage:
    return Stage(
        verb="fetch",
        subject=name,
        inputs=(),
        files=_named(plan.paths.data(name) / SOURCE),
        fingerprint=plan.fingerprint("fetch", name),
    )


def _prepare(plan: Plan, name: str) -> Stage:
    folder = plan.paths.data(name)
    return Stage(
        verb="prepare",
        subject=name,
        inputs=(folder / SOURCE,),
        files=_named(*_pack(plan, name), folder / CONTACT),
        fingerprint=plan.fingerprint("prepare", name),
        threads=plan.dataset(name).packing_workers,
    )


def _classifier(plan: Plan, name: str) -> Stage:
    classifier = plan.classifier(name)
    return Stage(
        verb="classifier",
        subject=name,
        inputs=_pack(plan, classifier.dataset),
        files={CLASSIFIER: plan.paths.classifier(name)},
        fingerprint=plan.fingerprint("classifier", name),
        threads=classifier.threads,
    )


def _reference(plan: Plan, key: ReferenceKey) -> Stage:
    return Stage(
        verb="reference",
        subject=key,
        inputs=(*_pack(plan, key.dataset), *_classifiers(plan)),
        files={STATISTICS: plan.paths.reference(key)},
        fingerprint=plan.fingerprint("reference", key),
        threads=plan.protocol(key.protocol).threads,
        devices=1,
    )


def _train(plan: Plan, name: str) -> Stage:
    run = plan.run(name)
    return Stage(
        verb="train",
        subject=name,
        # Few runs read the reference, but missing extractor weights must be noticed before GPU-days are spent.
        inputs=(
            *_pack(plan, run.dataset_name),
            plan.paths.reference(run.reference),
            *_classifiers(plan),
        ),
        files=_named(*(plan.paths.run(name) / file for file in RUN_FILES)),
        fingerprint=plan.fingerprint("train", name),
        threads=run.recipe.threads * run.recipe.devices,
        devices=run.recipe.devices,
    )


def _score(plan: Plan, name: str) -> Stage:
    run = plan.run(name)
    folder = plan.paths.run(name)
    return Stage(
        verb="score",
        subject=name,
        inputs=(
            folder / "generator.safetensors",
            folder / "run.json",
            plan.paths.reference(run.reference),
            *_classifiers(plan),
        ),
        files={SCORES: plan.paths.score(name), METRICS: plan.paths.metrics(name)},
        fingerprint=plan.fingerprint("score", name),
        threads=run.protocol.threads,
        devices=1,
    )


def _table(plan: Plan, name: str) -> Stage:
    base = plan.paths.table(name)
    return Stage(
        verb="table",
        subject=name,
        inputs=tuple(plan.paths.score(run) for run in plan.table_runs(name)),
        files=_named(*(base.with_name(f"{base.name}.{suffix}") for suffix in ("csv", "md", "tex"))),
        fingerprint=plan.fingerprint("table", name),
    )


def _cells(plan: Plan) -> Stage:
    return Stage(
        verb="cells",
        subject="all",
        inputs=tuple(plan.paths.table(name).with_suffix(".csv") for name in plan.score_tables),
        files=_named(plan.paths.cells),
        fingerprint=plan.fingerprint("cells", "all"),
    )


def _figure(plan: Plan, name: str) -> Stage:
    base = plan.paths.figure(name)
    config, runs = plan.figure(name), plan.figure_runs(name)
    per_run = [
        plan.paths.run(run) / file
        for run in runs
        for file in ("generator.safetensors", "run.json", "history.csv", "dynamics.npz")
    ]
    if config.kind == "neighbours":
        per_run += [
            path
            for dataset in dict.fromkeys(plan.run(run).dataset_name for run in runs)
            for path in _pack(plan, dataset)
        ]
    return Stage(
        verb="figure",
        subject=name,
        inputs=(*per_run, *(plan.paths.score(run) for run in runs)),
        files=_named(*(base.with_name(f"{base.name}.{suffix}") for suffix in ("png", "pdf"))),
        fingerprint=plan.fingerprint("figure", name),
    )


def _named(*paths: Path) -> dict[str, Path]:
    """Outputs that have the same name in the state folder as in their declared paths."""
    return {path.name: path for path in paths}


def _pack(plan: Plan, dataset: str) -> tuple[Path, ...]:
    return tuple(plan.paths.data(dataset) / file for file in PACK_FILES)


def _classifiers(plan: Plan) -> tuple[Path, ...]:
    return tuple(plan.paths.classifier(name) for name in plan.classifiers)
