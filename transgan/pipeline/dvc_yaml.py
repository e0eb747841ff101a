"""Writes the generated part of dvc.yaml: `python -m transgan.pipeline.dvc_yaml`, which `make generate` calls.

It holds what depends on lists in params.yaml, over which DVC cannot loop. DVC cannot leave entries out of a `foreach`
either, so the scale's runs are listed, too. Run `make generate` again after editing `scale`.
"""

from pathlib import Path

from transgan.config import plan
from transgan.config.plan import Plan
from transgan.pipeline.stages import Stage, stages
from transgan.utils import files

DVC_FILE = Path("dvc.yaml")
LINE = "  # --- below this line: written by `make generate` from params.yaml; do not edit ---\n"


def render(written: str) -> str:
    """dvc.yaml with a new part below the line; `written` is its present text."""
    head = written.split(LINE)[0]
    current = plan.load()
    generated = [
        _stage(current.scale_name, stage)
        for stage in stages(current).values()
        if stage.verb in ("reference", "table", "cells", "figure")
    ]
    return head + LINE + "".join(generated) + _vars(current)


def _vars(current: Plan) -> str:
    """The scale's runs and the names they refer to, over which the stages above the line loop."""
    lines = ["vars:", "  - made:"]
    for name, run in current.scheduled_runs.items():
        names = {
            "dataset": run.dataset_name,
            "model": run.model_name,
            "recipe": run.recipe_name,
            "protocol": run.protocol_name,
        }
        lines.append(f"      {name}: {{{', '.join(f'{key}: {value}' for key, value in names.items())}}}")
    return "\n".join(lines) + "\n"


def _stage(scale: str, stage: Stage) -> str:
    """One stage of dvc.yaml, named `verb-name`, because only foreach stages may have an @ in their names."""

    def scaled(value: object) -> str:
        parts = str(value).replace(".", "/").split("/")
        return str(value).replace(scale, "${scale}", 1) if scale in parts else str(value)

    lines = [
        f"  {stage.verb}-{stage.name}:",
        f"    cmd: {stage.command} --scale ${{scale}}",
    ]
    # `dvc plots` shows two versions of an image side by side.
    images = tuple(path for path in stage.outputs if path.suffix == ".png")
    others = tuple(path for path in stage.outputs if path not in images)
    for key, values in (("deps", stage.inputs), ("params", stage.parameters), ("outs", others), ("plots", images)):
        if values:  # a table that only quotes the paper depends on no run, and DVC refuses an empty list
            lines += [f"    {key}:", *(f"      - {scaled(value)}" for value in values)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    files.write_text(DVC_FILE, render(DVC_FILE.read_text()))
