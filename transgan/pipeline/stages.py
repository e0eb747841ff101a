"""The stage graph that both front-ends run: for every stage its command, inputs, outputs, parameters, threads and devices.

Snakemake's rules read this; dvc.yaml says the same in DVC's language, and a test holds the two together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transgan.config.paths import StageName, StageSubject
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey

PACK_FILES = ("images.npy", "labels.npy", "manifest.json")
RUN_FILES = ("generator.safetensors", "run.json", "history.csv", "samples.png", "dynamics.npz", "provenance.json")


@dataclass(frozen=True)
class Stage:
    """One call of the command line, as an orchestrator sees it. Paths are relative to the project's root."""

    verb: StageName
    name: str
    arguments: tuple[str, ...]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    parameters: tuple[str, ...]
    fingerprint: str
    threads: int = 1
    devices: int = 0

    @property
    def key(self) -> str:
        """Verb and name, as DVC writes them."""
        return f"{self.verb}@{self.name}"

    @property
    def subject(self) -> StageSubject:
        """What the stage runs for: the key of a reference, otherwise `name`."""
        return ReferenceKey(*self.arguments) if self.verb == "reference" else self.name

    @property
    def command(self) -> str:
        """The command line, without its options."""
        return " ".join(("transgan", self.verb, *self.arguments))


def stages(plan: Plan) -> dict[str, Stage]:
    """Every stage of a plan by its key, in an order in which they can run."""
    return {stage.key: stage for stage in _all(plan)}


def stage(plan: Plan, verb: StageName, name: str) -> Stage:
    """One stage of a plan. Raises KeyError where there is none of that name."""
    return stages(plan)[f"{verb}@{name}"]


def _all(plan: Plan) -> Iterator[Stage]:
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
        name=name,
        arguments=(name,),
        inputs=(),
        outputs=(plan.paths.data(name) / "source.json",),
        parameters=_tracked(plan, "datasets", name),
        fingerprint=plan.fingerprint("fetch", name),
    )


def _prepare(plan: Plan, name: str) -> Stage:
    folder = plan.paths.data(name)
    return Stage(
        verb="prepare",
        name=name,
        arguments=(name,),
        inputs=(folder / "source.json",),
        outputs=(*_pack(plan, name), folder / "contact.png"),
        parameters=_tracked(plan, "datasets", name),
        fingerprint=plan.fingerprint("prepare", name),
        threads=plan.dataset(name).packing_workers,
    )


def _classifier(plan: Plan, name: str) -> Stage:
    classifier = plan.classifier(name)
    return Stage(
        verb="classifier",
        name=name,
        arguments=(name,),
        inputs=_pack(plan, classifier.dataset),
        outputs=(plan.paths.classifier(name),),
        # Whether it is needed at all depends on the protocols.
        parameters=(*_tracked(plan, "classifiers", name), "protocols", f"scales.{plan.scale_name}.protocols"),
        fingerprint=plan.fingerprint("classifier", name),
        threads=classifier.threads,
    )


def _reference(plan: Plan, key: ReferenceKey) -> Stage:
    return Stage(
        verb="reference",
        name=str(key),
        arguments=(key.dataset, key.protocol),
        inputs=(*_pack(plan, key.dataset), *_classifiers(plan)),
        outputs=(plan.paths.reference(key),),
        parameters=_tracked(plan, "protocols", key.protocol),
        fingerprint=plan.fingerprint("reference", key),
        threads=plan.protocol(key.protocol).threads,
        devices=1,
    )


def _train(plan: Plan, name: str) -> Stage:
    run = plan.run(name)
    return Stage(
        verb="train",
        name=name,
        arguments=(name,),
        # The reference comes first: weights that are missing are missed before GPU-days are spent, not after.
        inputs=(
            *_pack(plan, run.dataset_name),
            plan.paths.reference(run.reference),
            *_classifiers(plan),
        ),
        outputs=tuple(plan.paths.run(name) / file for file in RUN_FILES),
        parameters=(
            *_tracked(plan, "runs", name),
            *_tracked(plan, "models", run.model_name),
            *_tracked(plan, "recipes", run.recipe_name),
        ),
        fingerprint=plan.fingerprint("train", name),
        threads=run.recipe.threads * run.recipe.devices,
        devices=run.recipe.devices,
    )


def _score(plan: Plan, name: str) -> Stage:
    run = plan.run(name)
    folder = plan.paths.run(name)
    return Stage(
        verb="score",
        name=name,
        arguments=(name,),
        inputs=(
            folder / "generator.safetensors",
            folder / "run.json",
            plan.paths.reference(run.reference),
            *_classifiers(plan),
        ),
        outputs=(plan.paths.score(name), plan.paths.metrics(name)),
        parameters=_tracked(plan, "protocols", run.protocol_name),
        fingerprint=plan.fingerprint("score", name),
        threads=run.protocol.threads,
        devices=1,
    )


def _table(plan: Plan, name: str) -> Stage:
    base = plan.paths.table(name)
    return Stage(
        verb="table",
        name=name,
        arguments=(name,),
        inputs=tuple(plan.paths.score(run) for run in plan.table_runs(name)),
        outputs=tuple(base.with_name(f"{base.name}.{suffix}") for suffix in ("csv", "md", "tex")),
        parameters=(
            f"tables.{name}",
            *_said_of_scale(plan),
            *_shares(plan, name),
            *_skipped(plan, plan.table(name).run_names),
        ),
        fingerprint=plan.fingerprint("table", name),
    )


def _cells(plan: Plan) -> Stage:
    return Stage(
        verb="cells",
        name="all",
        arguments=(),
        inputs=tuple(plan.paths.table(name).with_suffix(".csv") for name in plan.score_tables),
        outputs=(plan.paths.cells,),
        parameters=(),
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
        name=name,
        arguments=(name,),
        inputs=(*per_run, *(plan.paths.score(run) for run in runs)),
        outputs=tuple(base.with_name(f"{base.name}.{suffix}") for suffix in ("png", "pdf")),
        parameters=(
            f"figures.{name}",
            *((f"tables.{config.table}",) if config.table else ()),
            *_said_of_scale(plan),
            *(f"scales.{plan.scale_name}.runs.{run}" for run in config.runs if run not in plan.scheduled_runs),
        ),
        fingerprint=plan.fingerprint("figure", name),
    )


def _tracked(plan: Plan, kind: str, name: str) -> tuple[str, ...]:
    return (f"{kind}.{name}", f"scales.{plan.scale_name}.{kind}.{name}")


def _said_of_scale(plan: Plan) -> tuple[str, ...]:
    return (f"scales.{plan.scale_name}.comparable", f"scales.{plan.scale_name}.description")


def _shares(plan: Plan, table: str) -> tuple[str, ...]:
    """What the full schedule of the runs of a table follows from: it changes what their scores mean, and nothing in their files."""
    runs = [plan.run(run) for run in plan.table_runs(table)]
    return tuple(
        dict.fromkeys([*(f"recipes.{run.recipe_name}.images" for run in runs), *(f"runs.{run.name}" for run in runs)])
    )


def _skipped(plan: Plan, runs: tuple[str, ...]) -> tuple[str, ...]:
    """Where it is said that the scale skips some of `runs`, and what their cost follows from, which their cells say instead."""
    skipped = [plan.run(run) for run in runs if run not in plan.scheduled_runs]
    found = [
        (("runs", run.name), ("datasets", run.dataset_name), ("models", run.model_name), ("recipes", run.recipe_name))
        for run in skipped
    ]
    return tuple(
        dict.fromkeys(parameter for each in found for kind, name in each for parameter in _tracked(plan, kind, name))
    )


def _pack(plan: Plan, dataset: str) -> tuple[Path, ...]:
    return tuple(plan.paths.data(dataset) / file for file in PACK_FILES)


def _classifiers(plan: Plan) -> tuple[Path, ...]:
    return tuple(plan.paths.classifier(name) for name in plan.classifiers)
