"""Checks what DVC has restored: `python -m transgan.pipeline.restored`, which `make restore` calls.

`dvc pull` fails if anything is missing, packs that are not pushed included. With
`--allow-missing` it never says what is.
"""

from pathlib import Path

from transgan.config.plan import Plan, load
from transgan.errors import UserError
from transgan.pipeline.stages import stages
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
        check(load())
