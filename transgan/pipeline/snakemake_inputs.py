"""What the Snakefile asks of the plan: the stage graph, the config files that make a changed fingerprint visible, and the GPUs at hand."""

import os
import time
from pathlib import Path

from transgan.config.plan import Plan
from transgan.pipeline.freshness import freshness
from transgan.pipeline.stages import Stage, stages
from transgan.utils import files

_LONG_AGO = (0, 0)


def config_files(plan: Plan) -> tuple[dict[str, Stage], dict[str, str], set[str]]:
    """The stage graph; for every stage the path of a small file that is newer than its outputs exactly when they are not the plan's; and the
    keys of the stages whose outputs need nothing.

    Snakemake compares times; this turns "made by another fingerprint" into a time. Writes in state/<scale>/config only, also on a dry run.
    """
    graph = stages(plan)
    judged = freshness(plan, graph)
    configs = {}
    for key, stage in graph.items():
        path = plan.paths.config(stage.verb, stage.name)
        text = files.dumps(
            {"fingerprint": stage.fingerprint, "ingredients": plan.ingredients(stage.verb, stage.subject)}
        )
        if judged[key] == "stale":
            # Snakemake takes a small file with a known checksum as unchanged whatever its time, so the content must be new as well.
            files.write_text(path, text + files.dumps({"noticed": time.time_ns()}))
        elif not path.exists() or path.read_text() != text:
            files.write_text(path, text)
        if judged[key] == "current":
            os.utime(path, _LONG_AGO)
        configs[key] = str(path)
    return graph, configs, {key for key, judgement in judged.items() if judgement in ("current", "unknown")}


def gpu_count(plan: Plan) -> int:
    """GPUs that runs may take here: those of CUDA_VISIBLE_DEVICES, else every NVIDIA device; none where params.yaml says cpu. Imports no torch."""
    if plan.params.execution.device == "cpu":
        return 0
    present = [path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(present)
    return min(len([device for device in visible.split(",") if device.strip() not in ("", "-1")]), len(present))
