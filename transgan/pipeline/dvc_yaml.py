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

from transgan.config.fingerprint import STAGE_VERSION
from transgan.config.params_file import PARAMS_FILE
from transgan.config.paths import CONTACT
from transgan.config.plan import Plan, load
from transgan.errors import UserError
from transgan.pipeline.stages import HISTORY, PACK_FILES, Stage, stages
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
        - results/${scale}/config/prepare/${item}.json
        - data/${scale}/${item}/source.json
      outs:
"""


PLOTS = """\
plots:
  - critic-gap:
      title: "Critic gap while training: D of real images minus D of generated ones"
      template: runs
      x: images
      x_label: images
      y_label: gap
      y:
"""


def render(text: str) -> str:
    """`text`, the content of dvc.yaml, with the part below the line replaced."""
    plan = load(PARAMS_FILE)
    head = text.split(LINE)[0]
    generated = [
        _stage(plan, stage)
        for stage in stages(plan).values()
        if stage.verb in ("reference", "table", "cells", "figure")
    ]
    return head + LINE + _prepare(plan.params.data.push_packs) + "".join(generated) + _vars(plan) + _plots(plan)


def _prepare(push: bool) -> str:
    """The stage `prepare` of every dataset. Without `push`, `dvc push` leaves out all that it writes."""
    outputs = [f"        - data/${{scale}}/${{item}}/{name}" for name in (*PACK_FILES, CONTACT)]
    if not push:
        outputs = [f"{output}:\n            push: false" for output in outputs]
    return PREPARE + "\n".join(outputs) + "\n"


def _vars(plan: Plan) -> str:
    """The versions of the stages; and for `foreach` the datasets, the classifiers, and the runs with what they name."""
    classifiers = ", ".join(f"{_word(name)}: {_word(config.dataset)}" for name, config in plan.classifiers.items())
    lines = [
        "vars:",
        f"  - stage_versions: {', '.join(f'{stage} {version}' for stage, version in STAGE_VERSION.items())}",
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


def _plots(plan: Plan) -> str:
    """The chart of `dvc plots`: the critic gap of every run. Empty without runs."""
    histories = [_with_variable(plan.scale_name, plan.paths.run(name) / HISTORY) for name in plan.scheduled_runs]
    return PLOTS + "".join(f"        {history}: gap\n" for history in histories) if histories else ""


def _word(name: str) -> str:
    """A name as YAML text: quoted where YAML would read a number or a truth value."""
    return name if re.fullmatch("[a-z][a-z0-9-]{5,}", name) or yaml.safe_load(name) == name else f'"{name}"'


def _stage(plan: Plan, stage: Stage) -> str:
    """One stage in DVC's language, named `verb-name`: only foreach stages may have an @ in their names."""
    # `dvc plots` shows PNG files, two versions side by side.
    plots = tuple(path for path in stage.reproducible if path.suffix == ".png")
    others = tuple(path for path in stage.reproducible if path not in plots)
    lines = [
        f"  {stage.verb}-{stage.name}:",
        f"    cmd: {stage.command}",
    ]
    inputs = (plan.paths.resolved_config(stage.verb, stage.name), *stage.inputs)
    for key, paths in (("deps", inputs), ("outs", others), ("plots", plots)):
        if paths:  # DVC refuses an empty list
            lines += [f"    {key}:", *(f"      - {_with_variable(plan.scale_name, path)}" for path in paths)]
    return "\n".join(lines) + "\n"


def _with_variable(scale: str, path: Path) -> str:
    """A path with ${scale} instead of the scale's name."""
    return str(Path(*("${scale}" if part == scale else part for part in path.parts)))


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
