"""`python -m transgan.pipeline.dvc_yaml` writes the generated part of dvc.yaml: what DVC cannot interpolate because it depends on lists in params.yaml.

DVC can neither leave entries of a dict out of a `foreach`, so the runs that the scale makes are written out too: after `scale` was edited,
`make generate` again.
"""

from pathlib import Path

from transgan.config import plan
from transgan.config.plan import Plan
from transgan.pipeline.stages import Stage, stages
from transgan.utils import files

DVC_FILE = Path("dvc.yaml")
LINE = "  # --- below this line: written by `make generate` from params.yaml; do not edit ---\n"


def render(written: str) -> str:
    """dvc.yaml with the part below the line made anew; `written` is its present text."""
    head = written.split(LINE)[0]
    current = plan.load()
    generated = [
        _stage(current.scale_name, stage)
        for stage in stages(current).values()
        if stage.verb in ("reference", "table", "cells", "figure")
    ]
    return head + LINE + "".join(generated) + _vars(current)


def _vars(current: Plan) -> str:
    """What the stages above the line go through: run -> the names it refers to."""
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
    """One stage in DVC's language. Named `verb-name`: only foreach stages may have an @ in their names."""

    def scaled(value: object) -> str:
        parts = str(value).replace(".", "/").split("/")
        return str(value).replace(scale, "${scale}", 1) if scale in parts else str(value)

    lines = [
        f"  {stage.verb}-{stage.name}:",
        f"    cmd: {stage.command} --scale ${{scale}}",
    ]
    pictures = tuple(
        path for path in stage.outputs if path.suffix == ".png"
    )  # `dvc plots` shows them, two versions side by side
    others = tuple(path for path in stage.outputs if path not in pictures)
    for key, values in (("deps", stage.inputs), ("params", stage.parameters), ("outs", others), ("plots", pictures)):
        if values:  # a table that only quotes the paper depends on no run, and DVC refuses an empty list
            lines += [f"    {key}:", *(f"      - {scaled(value)}" for value in values)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    files.write_text(DVC_FILE, render(DVC_FILE.read_text()))
