"""What the Snakefile needs: the stage graph, config files that show a changed fingerprint, and the number of GPUs."""

import os
import time
from pathlib import Path

from transgan.config.plan import Plan
from transgan.pipeline.freshness import freshness
from transgan.pipeline.stages import Stage, stages
from transgan.utils import files

_LONG_AGO = (0, 0)


def config_files(plan: Plan) -> tuple[dict[str, Stage], dict[str, str], set[str]]:
    """The stage graph, the path of every stage's config file, and the keys of the settled stages.

    Snakemake compares file times, so a changed fingerprint must become a file time: a stage's config file is newer than
    its outputs only if they do not carry the plan's fingerprint. Writes in state/<scale>/config, on a dry run too.
    """
    graph = stages(plan)
    states = freshness(plan, graph)
    configs = {}
    for key, stage in graph.items():
        path = plan.paths.config(stage.verb, stage.name)
        text = files.dumps(
            {"fingerprint": stage.fingerprint, "ingredients": plan.ingredients(stage.verb, stage.subject)}
        )
        if states[key] == "stale":
            # Snakemake ignores the time of a small file whose checksum it knows, so the content must change as well.
            files.write_text(path, text + files.dumps({"noticed": time.time_ns()}))
        elif not path.exists() or path.read_text() != text:
            files.write_text(path, text)
        if states[key] == "current":
            os.utime(path, _LONG_AGO)
        configs[key] = str(path)
    return graph, configs, {key for key, state in states.items() if state in ("current", "unknown")}


def gpu_count(plan: Plan) -> int:
    """GPUs that runs may use: those in CUDA_VISIBLE_DEVICES, else all; 0 if params.yaml sets `device: cpu`."""
    if plan.params.execution.device == "cpu":
        return 0
    present = [path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(present)
    return min(len([device for device in visible.split(",") if device.strip() not in ("", "-1")]), len(present))
