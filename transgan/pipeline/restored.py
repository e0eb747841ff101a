"""Checks what DVC has restored: `python -m transgan.pipeline.restored`, which `make restore` calls.

`dvc pull` fails if anything is missing, packs that are not pushed included. With
`--allow-missing` it never says what is. The metrics of the runs are in git; where they were deleted, they are written
again from the scores that DVC has restored.
"""

from pathlib import Path

from transgan.config.plan import Plan, load
from transgan.errors import UserError
from transgan.pipeline import metrics_file
from transgan.pipeline.stages import stages
from transgan.utils import files
from transgan.utils.exit_codes import one_line_exit

NAMED = 3  # paths in the message


def missing(plan: Plan) -> list[Path]:
    """The outputs of all stages that DVC stores and that do not exist, apart from packs unless these are pushed."""
    return [
        path
        for stage in stages(plan).values()
        if stage.verb != "prepare" or plan.params.data.push_packs
        for path in stage.reproducible
        if not path.exists()
    ]


def write_missing_metrics(plan: Plan) -> None:
    """Write the metrics of the runs that have scores and no metrics. Raises UserError if scores are damaged."""
    for name, run in plan.scheduled_runs.items():
        path, scores = plan.paths.metrics(name), plan.paths.score(name)
        if path.exists() or not scores.exists():
            continue
        content = files.read_object(scores, plan.command("score", name), protocols=dict)
        if run.protocol_name in content["protocols"]:  # else they are those of another configuration
            metrics_file.write(path, content, run.protocol_name)


def check(plan: Plan) -> None:
    """Raise UserError if an output is missing."""
    if paths := missing(plan):
        names = ", ".join(map(str, paths[:NAMED])) + (", ..." if len(paths) > NAMED else "")
        raise UserError(
            f"DVC has not restored {len(paths)} results: {names}; `dvc push` where they are, "
            "or `make reproduce` to compute them"
        )


if __name__ == "__main__":
    with one_line_exit():
        restored = load()
        write_missing_metrics(restored)
        check(restored)
