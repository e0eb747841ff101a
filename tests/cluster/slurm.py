"""A real Slurm in a temporary folder: munged, slurmctld, and a slurmd for each of its nodes, all on this machine.

Nothing is read from or written to /etc. There is accounting only where a test asks for it (accounting.py). The daemons
end with the tests.
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

from . import accounting

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun")
NODES = ("n1", "n2")
SRUN = shutil.which("srun")  # the program, found before a cluster puts its own first into PATH
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
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
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

    def __init__(self, folder: Path, accounts: bool = False, nodes: Sequence[str] = NODES, cpus: int = 16) -> None:
        self.folder = folder
        self.accounts = accounts
        self.nodes = nodes
        self.cpus = cpus  # that each node claims, whatever this machine has
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
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {SRUN} "$@"\n')
        srun.chmod(0o755)
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (self.folder / name).mkdir()
        ports = free_ports(3 + len(self.nodes))
        host = socket.gethostname()
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} RealMemory=64000"
            for node, port in zip(self.nodes, ports[3:], strict=True)
        )
        config = CONFIG.format(host=host, port=ports[0], folder=self.folder, nodes=nodes)
        if self.accounts:
            config += accounting.SLURM_CONFIG.format(folder=self.folder, port=ports[1])
        (self.folder / "slurm.conf").write_text(config)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self._daemon(
            "munged",
            *("--foreground", "--force", "--num-threads=2"),
            f"--key-file={key}",
            *(f"--{name}={self.folder}/munge.{name}" for name in ("socket", "seed-file", "log-file", "pid-file")),
        )
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        if self.accounts:
            self._start_accounting(host, *ports[1:3])
        self._daemon("slurmctld", "-D")
        for node in self.nodes:
            self.start_node(node)
        self.wait_for_nodes(self.nodes)

    def _start_accounting(self, host: str, port: int, database_port: int) -> None:
        server, *options = accounting.database_command(self.folder, database_port)
        self._daemon(server, *options)
        self._wait((self.folder / "mariadb.socket").exists, server)
        accounting.write_config(self.folder, host, port, database_port)
        self._daemon("slurmdbd", "-D")
        self._wait(lambda: "root" in self.ask("sacctmgr", "--noheader", "list", "user"), "slurmdbd")
        self.ask("sacctmgr", "--immediate", "add", "cluster", "test")
        self.ask("sacctmgr", "--immediate", "add", "account", accounting.ACCOUNT)
        self.ask("sacctmgr", "--immediate", "add", "user", "root", f"account={accounting.ACCOUNT}")

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self._daemon(node, "-D", "-N", node, program="slurmd")

    def kill_node(self, node: str) -> None:
        """As if the power of a node failed: its slurmd and everything of its jobs end, and nothing of it reports."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        while processes := list(self._processes_on(node)):
            for send in (psutil.Process.suspend, psutil.Process.kill):  # none is left to see the others end
                for process in processes:
                    with suppress(*GONE):
                        send(process)
            time.sleep(0.1)

    def wait_for_no_jobs(self) -> None:
        """Wait until the queue is empty."""
        self._wait(lambda: not self.jobs(), "an empty queue")

    def wait_for_nodes(self, nodes: Sequence[str], states: Sequence[str] = ("idle", "mixed", "allocated")) -> None:
        """Wait until nodes are in one of these states; without `states`, until they can take jobs."""

        def ready() -> bool:
            lines = self.ask("sinfo", "--noheader", "--Node", "--partition=all", "--format=%N %T").splitlines()
            found = dict(line.split() for line in lines)
            return all(found.get(node) in states for node in nodes)

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
        for process in self.processes():
            with suppress(*GONE):
                process.kill()

    def processes(self, **variables: str) -> Iterator[psutil.Process]:
        """The processes of this Slurm and of its jobs that have these variables in their environment."""
        wanted = {"SLURM_CONF": self.environment["SLURM_CONF"], **variables}
        for process in psutil.process_iter():
            with suppress(*GONE):
                if process.pid != os.getpid() and wanted.items() <= process.environ().items():
                    yield process

    def _processes_on(self, node: str) -> Iterator[psutil.Process]:
        """What runs of the jobs on a node: the programs, and the slurmstepd that has started each."""
        for process in self.processes(SLURMD_NODENAME=node):
            yield process
            with suppress(*GONE):
                parent = process.parent()
                if parent is not None and "slurmstepd" in parent.name():
                    yield parent

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
        said = ""
        while True:
            try:
                if ready():
                    return
            except AssertionError as error:  # the daemon does not answer yet
                said = str(error).strip()
            ended = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > end:
                logs = "\n".join(
                    f"{path.name}: {path.read_text(errors='replace')[-2000:]}"
                    for path in sorted(self.folder.iterdir())
                    if path.suffix in (".out", ".log")
                )
                raise RuntimeError(f"{what} did not start ({', '.join(ended) or 'all run'}). {said}\n{logs}")
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
