"""Accounting for the Slurm of these tests: slurmdbd, with a MariaDB of its own in the same temporary folder."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("slurmdbd", "sacctmgr", "sacct", "mariadbd", "mariadb", "mariadb-install-db")
ACCOUNT = "lab"
# Jobs without a known account are refused.
SLURM_CONFIG = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePass={folder}/munge.socket
AccountingStoragePort={port}
AccountingStorageEnforce=associations
JobAcctGatherType=jobacct_gather/none
"""
CONFIG = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct_db
"""


def why_not() -> str | None:
    """Why there can be no accounting here; None if there can."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    return f"no {', '.join(missing)}: needs Debian's slurmdbd and mariadb-server" if missing else None


def database_command(folder: Path, port: int) -> list[str]:
    """Create a database in `folder`; the command of its server, which listens on `port` of this machine."""
    data = folder / "mariadb"
    install = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"]
    subprocess.run(
        [*install, "--auth-root-authentication-method=normal", "--skip-test-db"],
        capture_output=True,
        check=True,
        timeout=300,
    )
    server = ["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={folder}/mariadb.socket"]
    return [*server, f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"]


def write_config(folder: Path, host: str, port: int, database_port: int) -> None:
    """Give slurmdbd a user and a database in the running server, and its configuration."""
    password = secrets.token_hex(8)
    file = folder / "slurmdbd.conf"
    file.touch(mode=0o600)
    file.write_text(CONFIG.format(folder=folder, host=host, port=port, database_port=database_port, password=password))
    statements = (
        "CREATE DATABASE slurm_acct_db; "
        f"CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY '{password}'; "
        "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';"
    )
    client = ["mariadb", "--no-defaults", f"--socket={folder}/mariadb.socket", "--user=root"]
    subprocess.run(client, input=statements, text=True, capture_output=True, check=True, timeout=60)
