"""One process of a run on several devices, started by launch.py with the arguments PARAMS SCALE RUN FOLDER PARENT."""

import logging
import sys
from pathlib import Path

from transgan.config import plan as plans
from transgan.errors import Diverged, UserError
from transgan.training.distributed.launch import device_type, orphaned
from transgan.training.distributed.process_group import init_process_group
from transgan.training.loop import TrainingLoop
from transgan.utils.console import configure_logging

logger = logging.getLogger(__name__)


def main(params: str, scale: str, run_name: str, folder: str, parent: str) -> int:
    """Train in `folder` and return the exit code. `parent` is the process id of the process that started this one."""
    configure_logging()
    plan = plans.load(Path(params), scale)
    process_group = init_process_group(device_type(plan))
    try:
        TrainingLoop(plan, run_name, Path(folder), process_group, lambda: orphaned(int(parent))).train()
    except (UserError, Diverged) as error:
        if process_group.is_main:  # the others raise the same error, or fail because this process has ended
            logger.info(f"transgan: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
