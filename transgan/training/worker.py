"""One process of a run on several devices, started by launch.py with the arguments PARAMS SCALE RUN FOLDER PARENT.

Options `--set` and `--as` may follow, as `transgan train` has them.
"""

import sys

from transgan.errors import Diverged, UserError
from transgan.utils.console import configure_logging
from transgan.utils.exit_codes import one_line_exit
from transgan.utils.secrets import mask_streams


def main(params: str, scale: str, run_name: str, folder: str, parent: str, *changes: str) -> None:
    """Train in `folder`. `parent` is the process id of the process that started this one."""
    # Imported here: libraries take seconds, in which a signal must have its effect as well.
    from pathlib import Path

    from transgan.config import plan as plans
    from transgan.config.run_changes import with_changed_run
    from transgan.training.distributed.launch import device_type, orphaned
    from transgan.training.distributed.process_group import init_process_group
    from transgan.training.loop import TrainingLoop

    configure_logging()
    plan = plans.load(Path(params), scale)
    if changes:
        options = list(zip(changes[::2], changes[1::2], strict=True))
        settings = [value for option, value in options if option == "--set"]
        plan, run_name = with_changed_run(plan, run_name, settings, dict(options).get("--as"))
    process_group = init_process_group(device_type(plan))
    try:
        TrainingLoop(plan, run_name, Path(folder), process_group, lambda: orphaned(int(parent))).train()
    except (UserError, Diverged) as error:
        if process_group.is_main:
            raise
        sys.exit(error.exit_code)  # the others raise the same error, or fail because this process has ended


if __name__ == "__main__":
    mask_streams()
    with one_line_exit():
        main(*sys.argv[1:])
