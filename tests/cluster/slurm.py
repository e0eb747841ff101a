"""A real Slurm in a temporary folder: munged, slurmctld, and a slurmd for each of its nodes, all on this machine.

Nothing is read from or written to /etc. There is no accounting. The daemons end with the context.
"""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun")
NODES = ("n1", "n2")
GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
ReturnToService=2
SlurmdTimeout=6
MessageTimeout=5
KillWait=10
MinJobAge=20000
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why there can be no Slurm here; None if there can."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if missing:
        return f"no {', '.join(missing)}: needs Debian's slurm-wlm and munge"
    if os.geteuid() != 0:
        return "needs root, as slurmd does"
    return None


class Slurm:
    """The daemons, and commands that talk to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
            "SLURM_CONF": str(folder / "slurm.conf"),
        }
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything, and wait until the nodes can take jobs."""
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        (self.folder / "bin").mkdir()
        srun = self.folder / "bin" / "srun"
        # Snakemake takes SLURM_CONF from the environment of `srun`, since a cluster has its configuration in /etc.
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        ports = free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} "
            "CPUs=16 RealMemory=64000 State=UNKNOWN"
            for node, port in zip(NODES, ports[1:], strict=True)
        )
        (self.folder / "slurm.conf").write_text(
            CONFIG.format(host=socket.gethostname(), port=ports[0], folder=self.folder, nodes=nodes)
        )
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self._daemon(
            "munged",
            *("--foreground", "--force", "--num-threads=2"),
            f"--key-file={key}",
            *(f"--{name}={self.folder}/munge.{name}" for name in ("socket", "seed-file", "log-file", "pid-file")),
        )
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._daemon("slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes(NODES)

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self._daemon(node, "-D", "-N", node, program="slurmd")

    def wait_for_nodes(self, nodes: Sequence[str]) -> None:
        """Wait until nodes can take jobs."""

        def ready() -> bool:
            lines = self.ask("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
            states = dict(line.split() for line in lines)
            return all(states.get(node) in ("idle", "mixed", "allocated") for node in nodes)

        self._wait(ready, "the nodes")

    def ask(self, *command: str, check: bool = True) -> str:
        """Run a command of Slurm's; its standard output."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def jobs(self) -> list[str]:
        """The numbers of the jobs that wait or run."""
        return self.ask("squeue", "--noheader", "--format=%i").split()

    def stop(self) -> None:
        """End all jobs and daemons."""
        if "slurmctld" in self.daemons:
            self.ask("scancel", "--user=root", check=False)
            end = time.monotonic() + 20
            while time.monotonic() < end and self.ask("squeue", "--noheader", check=False):
                time.sleep(0.2)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for process in self._processes():
            with suppress(*GONE):
                process.kill()

    def _processes(self) -> Iterator[psutil.Process]:
        """The processes of this Slurm and of its jobs."""
        for process in psutil.process_iter():
            if process.pid != os.getpid() and self._is_ours(process):
                yield process

    def _is_ours(self, process: psutil.Process) -> bool:
        with suppress(*GONE):
            return process.environ().get("SLURM_CONF") == self.environment["SLURM_CONF"]
        return False

    def _daemon(self, name: str, *options: str, program: str | None = None) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                [program or name, *options],
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                if ready():
                    return
            except AssertionError:  # slurmctld does not answer yet
                pass
            ended = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > end:
                logs = "\n".join(
                    f"{path.name}: {path.read_text(errors='replace')[-2000:]}"
                    for path in sorted(self.folder.iterdir())
                    if path.suffix in (".out", ".log")
                )
                raise RuntimeError(f"{what} did not start ({', '.join(ended) or 'all run'})\n{logs}")
            time.sleep(0.1)


def _end_with_parent() -> None:
    """Let the kernel end this process when the tests end, however they do."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def free_ports(count: int) -> list[int]:
    """Ports that are free."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
