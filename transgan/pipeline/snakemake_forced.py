"""Which stages `snakemake -R`, `-F` and `-f` compute again, and which follow from them.

A forced stage that has finished work is called with `--again`. The stages after it read its new result: their inputs
must not be `ancient`, or Snakemake would not run them.
"""

import os
from collections.abc import Mapping
from typing import Any

from transgan.pipeline.snakemake_internals import forced_names, is_main_process
from transgan.pipeline.stages import Stage

VARIABLE = "TRANSGAN_AGAIN"  # tells the Snakemake inside of a cluster's job, which is itself called with --force
WITH_FINISHED_WORK = ("prepare", "classifier", "reference", "train", "score")  # the others compute whenever called


class Forced:
    """The stages of a graph that are forced. Snakemake knows them only after it has read the rules."""

    def __init__(self, workflow: Any, graph: Mapping[str, Stage]) -> None:
        self._workflow, self._graph = workflow, graph
        self._keys: frozenset[str] | None = None
        self._following: frozenset[str] | None = None
        self._producers = {str(path): key for key, stage in graph.items() for path in stage.outputs}

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the forced stages."""
        if self._keys is None:
            if not is_main_process(self._workflow):
                return frozenset(os.environ.get(VARIABLE, "").split())
            everything, names = forced_names(self._workflow)
            named = {os.path.relpath(name) if os.sep in name else name for name in names}
            self._keys = frozenset(key for key, stage in self._graph.items() if everything or _is_named(stage, named))
            os.environ[VARIABLE] = " ".join(sorted(self._keys))
        return self._keys

    def options(self, key: str) -> str:
        """`--again` if the stage is forced."""
        return "--again" if key in self.keys and self._graph[key].verb in WITH_FINISHED_WORK else ""

    def renews(self, path: str) -> bool:
        """Whether a path is an output of a forced stage or of one that follows from it."""
        if self._following is None:
            following = set(self.keys)
            for key, stage in self._graph.items():  # in the order of the graph
                if any(self._producers.get(str(each)) in following for each in stage.inputs):
                    following.add(key)
            self._following = frozenset(following)
        return self._producers.get(path) in self._following


def _is_named(stage: Stage, names: set[str]) -> bool:
    """Whether a stage is named by its rule, also under the prefix of `use rule * as PREFIX_*`, or by an output."""
    by_rule = any(name == stage.verb or name.endswith(f"_{stage.verb}") for name in names)
    return by_rule or any(str(path) in names for path in stage.outputs)
