"""What -R, -F and -f name is computed again, and the stages that read it are run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from transgan.config import plan as plans
from transgan.pipeline.snakemake_forced import VARIABLE, Forced
from transgan.pipeline.stages import Stage, stages


@pytest.fixture
def graph(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Stage]:
    monkeypatch.setenv(VARIABLE, "")
    return stages(plans.load())


def forced(graph: dict[str, Stage], main: bool = True, **settings: Any) -> Forced:
    given = {"forceall": False, "forcerun": frozenset(), "forcetargets": False, "targets": frozenset(), **settings}
    return Forced(SimpleNamespace(is_main_process=main, dag_settings=SimpleNamespace(**given)), graph)


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ({}, set()),
        ({"forcerun": {"classifier"}}, {"classifier@digits"}),
        ({"forcerun": {"transgan_classifier"}}, {"classifier@digits"}),  # of `use rule * as transgan_*`
        ({"forcerun": {"./results/tiny/scores/two-cifar10.json"}}, {"score@two-cifar10"}),
        ({"forcetargets": True, "targets": {"results/tiny/tables/small.csv"}}, {"table@small"}),
        ({"targets": {"results/tiny/tables/small.csv"}}, set()),
    ],
)
def test_rules_and_files_are_named(graph: dict[str, Stage], settings: dict[str, Any], keys: set[str]) -> None:
    assert forced(graph, **settings).keys == keys


def test_everything(graph: dict[str, Stage]) -> None:
    everything = forced(graph, forceall=True)
    assert everything.keys == set(graph)
    assert everything.options("train@one-cifar10") == "--again"
    assert everything.options("table@small") == ""  # computes whenever it is called


def test_what_follows_is_renewed_and_nothing_else(graph: dict[str, Stage]) -> None:
    one = forced(graph, forcerun={"results/tiny/runs/one-cifar10/run.json"})
    renewed = {key for key, stage in graph.items() if any(one.renews(str(path)) for path in stage.outputs)}
    assert renewed == {"train@one-cifar10", "score@one-cifar10", "table@small", "cells@all"}
    assert [key for key in graph if one.options(key)] == ["train@one-cifar10"]
    assert not forced(graph).renews("results/tiny/runs/one-cifar10/run.json")


def test_the_snakemake_inside_of_a_job_knows_it_from_the_environment(graph: dict[str, Stage]) -> None:
    inside = {"main": False, "forcetargets": True, "targets": {"results/tiny/scores/one-cifar10.json"}}
    assert forced(graph, **inside).keys == set()  # it is called with --force, whatever the user typed
    assert forced(graph, forcerun={"score"}).options("score@one-cifar10") == "--again"
    assert forced(graph, **inside).options("score@one-cifar10") == "--again"
