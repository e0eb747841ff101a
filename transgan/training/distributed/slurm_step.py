"""Several processes that `srun` started for one run, on one node or on many: the variables by which they meet.

`torchrun` sets WORLD_SIZE, RANK, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Under `srun` they follow from Slurm's own
variables, so that `srun --nodes=2 --ntasks=16 transgan train RUN` needs no launcher on the nodes.
"""

import os
import re
import subprocess
from collections.abc import Mapping

from transgan.errors import UserError

FIRST_PORT, PORTS = 20000, 10000  # below the ports that systems give to clients by default
QUERY_SECONDS = 60.0


def meet() -> None:
    """Set torchrun's variables in a process that `srun` started beside others, unless they are set.

    Raises UserError if Slurm does not say where the first process runs.
    """
    found = variables(os.environ)
    if found is None:
        return
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = _address(os.environ["SLURM_STEP_NODELIST"])
    for name, value in found.items():
        os.environ.setdefault(name, value)


def variables(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Torchrun's variables but MASTER_ADDR for a process of a step with several; None elsewhere.

    The port follows from the numbers of job and step, so that two runs that share a node use different ones.
    """
    count = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if count == 1 or "WORLD_SIZE" in environment or "SLURM_PROCID" not in environment:
        return None
    step = 31 * int(environment["SLURM_JOB_ID"]) + int(environment["SLURM_STEP_ID"])
    return {
        "WORLD_SIZE": str(count),
        "RANK": environment["SLURM_PROCID"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "MASTER_PORT": str(FIRST_PORT + step % PORTS),
    }


def _address(nodes: str) -> str:
    """The address of the first of `nodes` (a list as Slurm writes it), by which Slurm itself reaches it."""
    node = _scontrol("show", "hostnames", nodes).split()[0]
    found = re.search(r"\bNodeAddr=(\S+)", _scontrol("show", "node", node))
    return found[1] if found else node


def _scontrol(*arguments: str) -> str:
    command = ("scontrol", *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(
            f"{' '.join(command)}: does not work here ({error}); set MASTER_ADDR to the address of the first node"
        ) from error
    return done.stdout
