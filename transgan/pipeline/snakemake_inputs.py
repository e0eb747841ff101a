"""What the Snakefile needs of the plan: the stage graph, config files that make a new fingerprint visible, and GPUs."""

import difflib
import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline import resolved_configs
from transgan.pipeline.freshness import Freshness, freshness
from transgan.pipeline.stages import PACK_FILES, Stage, stages
from transgan.pipeline.workspace import FINISHED
from transgan.utils import files

_LONG_AGO = (0, 0)
_UUID = ("GPU-", "MIG-")


def check_overrides(config: Mapping[str, Any], content: Mapping[str, Any], file: Path) -> None:
    """Raise UserError if Snakemake's configuration differs from the params file in anything but `scale`.

    `--config` changes the former only, while the stages read the file.
    """
    named = [key for key in (*content, *config) if key != "scale"]
    changed = [key for key in named if config.get(key, ...) != content.get(key, ...)]
    if changed:
        scale = difflib.get_close_matches(changed[0], ["scale"])
        meant = "; did you mean 'scale'?" if scale else "; edit the file for anything else"
        raise UserError(f"{file}: only `scale` may be overridden with --config, not {changed[0]!r}{meant}")


def config_files(plan: Plan) -> tuple[dict[str, Stage], dict[str, str], dict[str, tuple[Path, ...]]]:
    """The stage graph; by the stages' keys, the paths of the config files; and the inputs of the settled stages.

    Snakemake compares file times. A stage's config file is newer than its outputs exactly if these belong to another
    fingerprint. Settled stages need not run: their outputs are current, or nothing is known about them, or they are
    data that is missing and that no unsettled stage reads, as in a clone whose packs were not pushed.

    Writes to state/<scale>/config only, also on a dry run.
    """
    graph = stages(plan)
    fresh = freshness(plan, graph)
    settled = _settled(graph, fresh)
    configs = {}
    for key, stage in graph.items():
        path = plan.paths.config(stage.verb, stage.name)
        text = resolved_configs.text(plan, stage)
        if fresh[key] == "stale":
            # Snakemake ignores the time of a small file whose checksum it knows, so the content must change too.
            files.write_text(path, text + files.dumps({"noticed": time.time_ns()}))
        elif not path.exists() or path.read_text() != text:
            files.write_text(path, text)
        if key in settled and fresh[key] != "unknown":
            os.utime(path, _LONG_AGO)
        configs[key] = str(path)
    return graph, configs, {key: _settled_inputs(plan, graph[key], fresh[key]) for key in settled}


def _settled(graph: dict[str, Stage], fresh: dict[str, Freshness]) -> set[str]:
    """The keys of the stages that need not run."""
    settled = {key for key, value in fresh.items() if value in ("current", "unknown")}
    for key, stage in reversed(graph.items()):
        if stage.verb in ("fetch", "prepare") and fresh[key] == "missing":
            readers = [reader.key for reader in graph.values() if not set(stage.outputs).isdisjoint(reader.inputs)]
            if readers and settled.issuperset(readers):
                settled.add(key)
    return settled


def _settled_inputs(plan: Plan, stage: Stage, fresh: Freshness) -> tuple[Path, ...]:
    """The inputs that Snakemake sees; not a missing pack, if the outputs are another machine's.

    Snakemake runs a stage again once a missing input is built, `ancient` or not. Another stage may need the pack,
    such as a figure of nearest neighbours, and then a clone would train. This machine's own work is found in a second.
    """
    own = plan.paths.workspace(stage.verb, stage.subject, stage.fingerprint) / FINISHED
    if own.exists() or (stage.verb == "figure" and fresh == "current"):
        return stage.inputs
    return tuple(path for path in stage.inputs if path.name not in PACK_FILES or path.exists())


def gpu_count(plan: Plan) -> int:
    """Number of GPUs that runs may use: those in CUDA_VISIBLE_DEVICES, else all NVIDIA devices; 0 for `device: cpu`."""
    if plan.device == "cpu":
        return 0
    present = [path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(present)
    return min(len(_named_gpus(visible, len(present))), len(present))


def _named_gpus(visible: str, present: int) -> list[str]:
    """The GPUs that CUDA_VISIBLE_DEVICES names, as CUDA reads it: the names before the first that is no GPU's.

    A GPU is named by its index, below `present`, or by its UUID. `NoDevFiles` (Slurm), `none` and `void` (containers)
    and -1 name none.
    """
    names = [name.strip() for name in visible.split(",")]
    named = list(
        itertools.takewhile(lambda name: name.startswith(_UUID) or (name.isdecimal() and int(name) < present), names)
    )
    return named if len(set(named)) == len(named) else []  # CUDA refuses a list that names one twice
