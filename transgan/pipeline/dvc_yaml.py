"""Writes the generated part of dvc.yaml: `python -m transgan.pipeline.dvc_yaml`, which `make generate` calls.

DVC cannot interpolate stages whose inputs depend on lists in params.yaml, so these stages are written out. It cannot
leave entries out of a `foreach` either, so the scheduled runs are written out as `vars`; and as its commands go to a
shell unquoted, so are the names of datasets and classifiers, which are checked here. Nor can it interpolate `push:`, so
the stage `prepare` is written out too. Run it again after an edit of `scale`, of a list, of a name, or of
`data.push_packs`.
"""

import re
from pathlib import Path

import yaml

from transgan.config.params_file import PARAMS_FILE
from transgan.config.paths import CONTACT
from transgan.config.plan import Plan, load
from transgan.errors import UserError
from transgan.pipeline.stages import PACK_FILES, Stage, stages
from transgan.utils import files
from transgan.utils.exit_codes import one_line_exit

DVC_FILE = Path("dvc.yaml")
LINE = "  # --- below this line: written by `make generate` from params.yaml; do not edit ---\n"
PREPARE = """\
  prepare:
    foreach: ${dataset_names}
    do:
      cmd: transgan prepare ${item}
      deps:
        - data/${scale}/${item}/source.json
      params:
        - datasets.${item}
        - scales.${scale}.datasets.${item}
      outs:
"""


def render(text: str) -> str:
    """`text`, the content of dvc.yaml, with the part below the line replaced."""
    plan = load(PARAMS_FILE)
    head = text.split(LINE)[0]
    generated = [
        _stage(plan.scale_name, stage)
        for stage in stages(plan).values()
        if stage.verb in ("reference", "table", "cells", "figure")
    ]
    return head + LINE + _prepare(plan.params.data.push_packs) + "".join(generated) + _vars(plan)


def _prepare(push: bool) -> str:
    """The stage `prepare` of every dataset. Without `push`, `dvc push` leaves out all that it writes."""
    outputs = [f"        - data/${{scale}}/${{item}}/{name}" for name in (*PACK_FILES, CONTACT)]
    if not push:
        outputs = [f"{output}:\n            push: false" for output in outputs]
    return PREPARE + "\n".join(outputs) + "\n"


def _vars(plan: Plan) -> str:
    """The entries of `foreach`: names of datasets; classifier -> its dataset; run -> the names it refers to."""
    classifiers = ", ".join(f"{_word(name)}: {_word(config.dataset)}" for name, config in plan.classifiers.items())
    lines = [
        "vars:",
        f"  - dataset_names: [{', '.join(map(_word, plan.datasets))}]",
        f"  - classifier_datasets: {{{classifiers}}}",
        "  - scheduled_runs:",
    ]
    for name, run in plan.scheduled_runs.items():
        names = {
            "dataset": run.dataset_name,
            "model": run.model_name,
            "recipe": run.recipe_name,
            "protocol": run.protocol_name,
        }
        lines.append(f"      {_word(name)}: {{{', '.join(f'{key}: {_word(value)}' for key, value in names.items())}}}")
    return "\n".join(lines) + "\n"


def _word(name: str) -> str:
    """A name as YAML text: quoted where YAML would read a number or a truth value."""
    return name if re.fullmatch("[a-z][a-z0-9-]{5,}", name) or yaml.safe_load(name) == name else f'"{name}"'


def _stage(scale: str, stage: Stage) -> str:
    """One stage in DVC's language, named `verb-name`: only foreach stages may have an @ in their names."""
    # `dvc plots` shows PNG files, two versions side by side.
    plots = tuple(path for path in stage.outputs if path.suffix == ".png")
    others = tuple(path for path in stage.outputs if path not in plots)
    lines = [
        f"  {stage.verb}-{stage.name}:",
        f"    cmd: {stage.command}",
    ]
    for key, values in (("deps", stage.inputs), ("params", stage.parameters), ("outs", others), ("plots", plots)):
        if values:  # DVC refuses an empty list, and a table that only quotes the paper depends on no run
            lines += [f"    {key}:", *(f"      - {_with_variable(scale, str(value))}" for value in values)]
    return "\n".join(lines) + "\n"


def _with_variable(scale: str, value: str) -> str:
    """A path or parameter with ${scale} instead of the scale's name."""
    parts = value.replace(".", "/").split("/")
    return value.replace(scale, "${scale}", 1) if scale in parts else value


def main() -> None:
    """Write the generated part of dvc.yaml in the current folder. Raises UserError where there is none."""
    try:
        text = DVC_FILE.read_text()
    except FileNotFoundError:
        raise UserError(f"{DVC_FILE}: not there; run this in a project's folder") from None
    files.write_text(DVC_FILE, render(text))


if __name__ == "__main__":
    with one_line_exit():
        main()
