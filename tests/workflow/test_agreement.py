"""Snakemake and DVC agree with the stage graph, stage by stage; and an edit concerns the stages that it should."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from transgan.config import params_file
from transgan.config import plan as plans
from transgan.config.fingerprint import STAGE_VERSION
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey
from transgan.errors import UserError
from transgan.pipeline import dvc_yaml
from transgan.pipeline.stages import Stage, stages

from ..conftest import ROOT, TINY
from .conftest import make_project
from .dags import Seen, dvc_stages, snakemake_stages

NAMES = ("dataset", "model", "recipe", "protocol")  # keys of a run; no other word is a name of the same kind

# Properties of a scale: what stages print them or compute by them.
OF_A_SCALE = {
    "comparable": ("table", "figure"),
    "description": ("table", "figure"),
    "same_bytes": ("classifier", "reference", "train", "score"),
}


def expected(plan: Plan) -> dict[frozenset[str], Seen]:
    return {
        frozenset(map(str, stage.outputs)): Seen(
            command=stage.command,
            inputs=frozenset(map(str, stage.inputs)),
            outputs=frozenset(map(str, stage.outputs)),
        )
        for stage in stages(plan).values()
    }


def expected_of_dvc(plan: Plan) -> dict[frozenset[str], Seen]:
    """The same graph, but each stage reads its resolved configuration, which a stage of DVC's own writes, and
    provenance.json is no output.
    """
    found = {
        frozenset(map(str, stage.reproducible)): Seen(
            command=stage.command,
            inputs=frozenset(map(str, (plan.paths.resolved_config(stage.verb, stage.name), *stage.inputs))),
            outputs=frozenset(map(str, stage.reproducible)),
        )
        for stage in stages(plan).values()
    }
    configs = frozenset({str(plan.paths.resolved)})
    versions = ", ".join(f"{stage} {version}" for stage, version in STAGE_VERSION.items())
    command = f"transgan resolve # versions: {versions}"  # so that DVC notices other versions
    return {**found, configs: Seen(command, frozenset({"params.yaml"}), configs)}


def test_dvc_runs_the_stage_graph() -> None:
    found, wanted = dvc_stages(ROOT), expected_of_dvc(plans.load(ROOT / "params.yaml"))
    assert set(found) == set(wanted)
    for outputs, stage in wanted.items():
        assert found[outputs] == stage


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_snakemake_runs_the_stage_graph(scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    found, wanted = snakemake_stages(tmp_path, scale), expected(plans.load(None, scale))
    assert set(found) == set(wanted)
    for outputs, stage in wanted.items():
        assert found[outputs].command == f"{stage.command} --scale {scale}"
        assert found[outputs].inputs == stage.inputs


def test_the_generated_part_of_dvc_yaml_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    written = (ROOT / dvc_yaml.DVC_FILE).read_text()
    assert dvc_yaml.render(written) == written, "run `make generate`"


def leaves(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is not a dict, with its keys. A list is one leaf, as in DVC."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*where, key))
    else:
        yield where, value


def altered(value: Any) -> Iterator[Any]:
    """Other values that might be valid in its place."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value * 2, value + 1, value / 2, value - 1, 1)
    elif isinstance(value, list):
        yield from (value[:-1], value + value[-1:])
        if value and isinstance(value[0], dict):
            for key, inner in value[-1].items():
                for other in altered(inner):
                    yield [*value[:-1], {**value[-1], key: other}]
        yield value[::-1]
    elif isinstance(value, str):
        words = "layer pixel none round truncate lanczos bicubic bilinear hinge wasserstein linear constant released"
        yield from [
            f"{value} ",
            *words.split(),
            "intended",
            "64",
            "center",
            "skip",
            "drift",
            "bfloat16",
            "inception-v3-compat",
        ]
    elif value == {}:
        yield from ()
    elif value is None:
        yield from (1, "x")


def with_leaf(content: Any, where: tuple[Any, ...], value: Any) -> Any:
    """`content` with another leaf. Both share what is not on the way to it: to copy the whole file takes long."""
    if not where:
        return value
    first, *rest = where
    changed = content.copy()
    changed[first] = with_leaf(content[first], tuple(rest), value)
    return changed


def fingerprints(plan: Plan) -> dict[str, str]:
    """By the stages' keys. A resolved configuration contains its fingerprint and what that is a digest of."""
    return {key: stage.fingerprint for key, stage in stages(plan).items()}


def entries(plan: Plan, stage: Stage) -> set[tuple[str, str]]:
    """The entries of params.yaml, by kind and name, that decide what a stage itself computes, besides its inputs."""
    key = stage.subject
    if isinstance(key, ReferenceKey):
        return {("protocols", key.protocol)}
    match stage.verb:
        case "fetch" | "prepare":
            return {("datasets", key)}
        case "classifier":
            return {("classifiers", key), *(("protocols", name) for name in plan.protocols)}  # is it needed at all?
        case "train":
            return of_run(plan, key)
        case "score":
            return {("protocols", plan.run(key).protocol_name)}
        case "table":  # a cell shows which share of the full schedule was trained, or what a skipped run would cost
            published = {("protocols", name) for name in plan.statistics_protocols(key)}
            return {("tables", key), *published, *of_runs(plan, plan.table(key).run_names)}
        case "figure":
            config = plan.figure(key)
            tables = {*plan.naming_tables(key), *((config.table,) if config.table else ())}
            return {("figures", key), *(("tables", name) for name in tables), *(("runs", name) for name in config.runs)}
        case _:
            return set()


def of_run(plan: Plan, name: str) -> set[tuple[str, str]]:
    run = plan.run(name)
    return {
        ("runs", name),
        ("datasets", run.dataset_name),
        ("models", run.model_name),
        ("recipes", run.recipe_name),
    }


def of_runs(plan: Plan, names: tuple[str, ...]) -> set[tuple[str, str]]:
    return {entry for name in names for entry in of_run(plan, name)}


def concerned(plan: Plan, graph: dict[str, Stage], where: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """The stages that a leaf may concern by itself, and these with all that follow from them."""
    kind, *name = where[2:] if where[0] == "scales" else where
    if name:
        own = {key for key, stage in graph.items() if (kind, name[0]) in entries(plan, stage)}
    else:
        verbs = OF_A_SCALE.get(kind, ())
        own = {key for key, stage in graph.items() if stage.verb in verbs}
    every, written = set(own), {path for key in own for path in graph[key].outputs}
    for key, stage in graph.items():  # in the order in which they run
        if key in own or written & set(stage.inputs):
            every.add(key)
            written |= set(stage.outputs)
    return own, every


@pytest.mark.parametrize(
    "file", [TINY, pytest.param(ROOT / "params.yaml", marks=pytest.mark.slow)], ids=["tiny", "product"]
)
def test_every_leaf_changes_the_configurations_that_it_concerns_and_no_others(file: Path, tmp_path: Path) -> None:
    """Every leaf changed in turn: the resolved configurations that change are those of the stages that the leaf's entry
    is for, and of those that follow. Overridden leaves are exempt.

    Other scales are left out. Their leaves are of the same kinds, and the last lines show that they change nothing.
    """
    content = json.loads(
        json.dumps(yaml.safe_load(file.read_text()))
    )  # anchors expanded: an alias is a leaf of its own
    before = plans.load(file)
    graph, old = stages(before), fingerprints(before)
    tried = 0
    for where, value in leaves(content):
        if where[0] == "scale" or (where[0] == "runs" and where[-1] in NAMES):
            continue
        if where[0] == "scales" and where[1] != before.scale_name:
            continue
        contents = (with_leaf(content, where, other) for other in altered(value) if other != value)
        after = next(filter(None, (loads(changed, tmp_path) for changed in contents)), None)
        if after is None:
            continue
        tried += 1
        new = fingerprints(after)
        changed = {key for key in old if new.get(key) != old[key]}
        own, every = concerned(before, graph, where)
        assert changed <= every, f"{'.'.join(where)} changes {sorted(changed - every)}"
        if own and not changed & own:
            assert neutral(content, where, before.scale_name), (
                f"{'.'.join(where)} is for {sorted(own)} and changes none of them"
            )
    assert tried > 30
    for scale in set(content["scales"]) - {before.scale_name}:
        after = loads(with_leaf(content, ("scales", scale), content["scales"][before.scale_name]), tmp_path)
        assert after is not None
        assert fingerprints(after) == old


def loads(content: dict[str, Any], folder: Path) -> Plan | None:
    file = folder / "params.yaml"
    try:
        plan = Plan(params_file.parse(content, file), content["scale"], file)
        return plan if plan.runs else None
    except UserError:
        return None


def neutral(content: dict[str, Any], where: tuple[str, ...], scale: str) -> bool:
    """Whether the scale, or the runs themselves, put something else in the place of this leaf."""
    kind, name, *rest = where[2:] if where[0] == "scales" else where
    layers = [content["scales"][scale].get(kind, {}).get(name, {})] if where[0] != "scales" else []
    singular = kind.removesuffix("s")
    for run_name, run in content["runs"].items():
        if run.get(singular) == name:
            layers += [
                run.get("changes", {}).get(singular, {}),
                content["scales"][scale]["runs"][run_name].get(singular, {}),
            ]
    used = kind not in ("models", "recipes", "protocols", "datasets") or any(
        run[singular] == name for run in content["runs"].values()
    )
    skipped = kind == "runs" and content["scales"][scale]["runs"][name].get("skip")
    return (
        not used
        or (skipped and rest == ["seed"])
        or any(_has(layer, rest) for layer in layers)
        or rest[-1] in ("kind",)
        or rest[-1] == "checkpoint_activations"
    )


def _has(layer: Any, keys: list[str]) -> bool:
    for key in keys:
        if isinstance(layer, list):
            return True
        if not isinstance(layer, dict) or key not in layer:
            return False
        layer = layer[key]
    return True


@pytest.mark.slow
@pytest.mark.faults
def test_dvc_runs_no_text_of_params_yaml(tmp_path: Path) -> None:
    """DVC does not quote what it interpolates into a command, and reads params.yaml before this project checks it."""
    project = make_project(tmp_path / "project")
    text = (project.root / "params.yaml").read_text()
    for changes, stage in (
        (
            [
                ("cifar10: *digits", "$(touch pwned): *digits"),
                ("digits: {}, cifar10: {}", "digits: {}, $(touch pwned): {}"),
            ],
            "fetch@$(touch pwned)",
        ),
        ([("scale: tiny", "scale: $(touch pwned)"), ("  tiny:\n", "  $(touch pwned):\n")], "fetch@digits"),
    ):
        for old, new in changes:
            project.edit(old, new)
        project.run("dvc", "repro", "--single-item", stage, check=False)
        assert not (project.root / "pwned").exists(), stage
        (project.root / "params.yaml").write_text(text)


def test_no_command_of_dvc_contains_a_parameter() -> None:
    """Only names that `make generate` has checked: those of `foreach`."""
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    names = {name for entry in content["vars"] for name in entry}
    for stage in content["stages"].values():
        command, each = stage.get("do", stage)["cmd"], stage.get("foreach", "")
        assert not each or each.removeprefix("${").removesuffix("}") in names
        assert set(re.findall(r"\$\{[^}]*\}", command)) <= {"${key}", "${item}", "${stage_versions}"}
