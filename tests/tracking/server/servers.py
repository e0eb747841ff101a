"""An MLflow server as docs/mlflow-server.md sets one up: Debian's PostgreSQL, artifacts by proxy, basic authentication.

Everything is in one temporary folder and on this machine. The servers end with `stop`.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from tests.conftest import ROOT

ADMIN, ADMIN_PASSWORD = "admin", "adm1n-Yt.58-server"
USER, PASSWORD = "trainer", "tr41n-Kx.27-writer"
DATABASE_PASSWORD, SECRET_KEY = "db-Qv.93-postgres", "k3y-Hs.64-of-forms"
MODULES = {"psycopg2": "psycopg2-binary", "flask_wtf": "flask-wtf"}
POSTGRES_USER = "postgres"  # PostgreSQL does not run as root; Debian's package creates this user
PAGE = ROOT / "docs/mlflow-server.md"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian does not put on the path."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    return max(found, key=lambda folder: int(folder.parent.name), default=Path(on_path).parent if on_path else None)


def why_not() -> str | None:
    """Why there can be no server here; None if there can."""
    if programs() is None:
        return "no PostgreSQL: apt-get install --no-install-recommends postgresql"
    if missing := [package for module, package in MODULES.items() if importlib.util.find_spec(module) is None]:
        return f"no {', '.join(missing)}: make setup-servers"
    if os.geteuid() == 0 and POSTGRES_USER not in {user.pw_name for user in pwd.getpwall()}:
        return f"PostgreSQL does not run as root, and there is no user {POSTGRES_USER}"
    return None


class Servers:
    """PostgreSQL and an MLflow server on it. `environment` is what a user of the server exports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database_port, self.port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }
        self.artifacts = folder / "artifacts"
        self.name = "mlflow"  # of the database
        self._postgres: subprocess.Popen[bytes] | None = None
        self._mlflow: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {"cwd": folder}
        if os.geteuid() == 0:
            self._as_user |= {"user": POSTGRES_USER, "group": POSTGRES_USER, "extra_groups": []}

    def database(self, name: str) -> str:
        """The address of a database of this PostgreSQL, without its password, which PGPASSWORD must have."""
        return f"postgresql://mlflow@127.0.0.1:{self.database_port}/{name}"

    def documented(self, first_line: str) -> str:
        """The code block of docs/mlflow-server.md that begins with a line, with the places of these servers."""
        blocks = PAGE.read_text().split("```\n")[1::2]
        (block,) = [block for block in blocks if block.startswith(first_line + "\n")]
        for old, new in {
            "/etc/mlflow": str(self.folder),
            "/var/lib/mlflow": str(self.folder),
            ":5432/": f":{self.database_port}/",
            "--port 5000": f"--port {self.port}",
            "<password of the PostgreSQL user>": DATABASE_PASSWORD,
            "<password of the administrator>": ADMIN_PASSWORD,
            "<output of openssl rand -hex 32>": SECRET_KEY,
        }.items():
            block = block.replace(old, new)
        return block

    @property
    def is_running(self) -> bool:
        """Whether the MLflow server has been started, and not killed since."""
        return self._mlflow is not None

    def start(self) -> None:
        """Start MLflow on PostgreSQL, and create the user."""
        (self.folder / "auth.ini").write_text(self.documented("# /etc/mlflow/auth.ini"))
        self.start_mlflow()
        self.ask("2.0/mlflow/users/create", username=USER, password=PASSWORD)

    def run(self, project: Path, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Call `python -m ...` in a project, with the environment of a user of the server and `changes`."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=project,
            env=self.of_user() | changes,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def of_user(self) -> dict[str, str]:
        """The environment of a command of a user of the server."""
        return {
            **os.environ,
            **self.environment,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def stop(self) -> None:
        """End both servers."""
        self.kill_mlflow()
        if self._postgres is not None:
            self._postgres.send_signal(signal.SIGINT)
            self._postgres.wait(60)

    def start_mlflow(self) -> None:
        """Start the MLflow server, and wait until it answers."""
        lines = self.documented("# /etc/mlflow/server.env").splitlines()[1:]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
            **dict(line.split("=", 1) for line in lines),
            "MLFLOW_BACKEND_STORE_URI": self.database(self.name),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        unit = self.documented("# /etc/systemd/system/mlflow.service")
        (command,) = [line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart=")]
        with (self.folder / "mlflow.log").open("ab") as log:
            self._mlflow = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *command.split()[1:]],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait(self._answers, self._mlflow, "mlflow.log", 180)

    def kill_mlflow(self) -> None:
        """End the MLflow server with SIGKILL: all its processes, in the middle of whatever they do."""
        if self._mlflow is not None:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(self._mlflow.pid, signal.SIGKILL)
            self._mlflow.wait()
            self._mlflow = None

    def pause_mlflow(self) -> None:
        """Let the MLflow server accept connections and answer none, until `resume_mlflow`."""
        assert self._mlflow is not None
        os.killpg(self._mlflow.pid, signal.SIGSTOP)

    def resume_mlflow(self) -> None:
        """Let the MLflow server answer again."""
        assert self._mlflow is not None
        os.killpg(self._mlflow.pid, signal.SIGCONT)

    @contextmanager
    def serving(self, name: str) -> Iterator[None]:
        """Let the MLflow server use another database meanwhile."""
        self.kill_mlflow()
        self.name = name
        try:
            self.start_mlflow()
            yield
        finally:
            self.kill_mlflow()
            self.name = "mlflow"
            self.start_mlflow()

    def query(self, sql: str, database: str = "mlflow", commit: bool = False) -> list[tuple[Any, ...]]:
        """The rows that PostgreSQL itself gives; with `commit`, what the statements change stays."""
        import psycopg2

        connection = psycopg2.connect(self.database(database), password=DATABASE_PASSWORD)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
            if commit:
                connection.commit()
            return rows
        finally:
            connection.close()

    def dump(self, database: str) -> bytes:
        """Everything in a database, as text."""
        return self._run("pg_dump", "--inserts", f"--dbname={self.database(database)}")

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        self._run("createdb", f"--maintenance-db={self.database('postgres')}", name)

    def ask(self, path: str, user: tuple[str, str] = (ADMIN, ADMIN_PASSWORD), **content: str) -> requests.Response:
        """The answer of MLflow to a request of a user, by default of the administrator."""
        answer = requests.post(f"{self.url}/api/{path}", auth=user, json=content, timeout=60)
        answer.raise_for_status()
        return answer

    def start_postgres(self) -> None:
        """Start PostgreSQL with empty databases. Raises RuntimeError with its messages if it does not start."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, POSTGRES_USER, POSTGRES_USER)
        password = self.folder / "password"
        password.write_text(DATABASE_PASSWORD)
        data = self.folder / "data"
        options = ("--username=mlflow", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8")
        self._run("initdb", f"--pgdata={data}", *options, "--locale=C", "--no-instructions", user=self._as_user)
        password.unlink()
        folder = programs()
        assert folder is not None
        with (self.folder / "postgres.log").open("wb") as log:
            self._postgres = subprocess.Popen(
                [folder / "postgres", "-D", data, "-k", self.folder, "-h", "127.0.0.1", "-p", str(self.database_port)],
                stdout=log,
                stderr=log,
                **self._as_user,
            )
        self._wait(self._accepts, self._postgres, "postgres.log", 60)
        for name in ("mlflow", "mlflow_auth"):
            self.create_database(name)

    def _accepts(self) -> bool:
        try:
            return bool(self.query("select 1", "postgres"))
        except Exception:
            return False

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).ok
        except requests.RequestException:
            return False

    def _run(self, program: str, *arguments: str, user: Mapping[str, Any] | None = None) -> bytes:
        """What one of PostgreSQL's programs prints."""
        folder = programs()
        assert folder is not None
        done = subprocess.run(
            [folder / program, *arguments],
            env={**os.environ, "PGPASSWORD": DATABASE_PASSWORD},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
            **user or {},
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode()}")
        return done.stdout

    def _wait(self, ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: str, seconds: float) -> None:
        """Wait until a server is ready. Raises RuntimeError with the end of its log if it ends or takes too long."""
        until = time.monotonic() + seconds
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{process.args!r}: {(self.folder / log).read_text()[-2000:]}")
            time.sleep(0.2)


def free_port() -> int:
    """A port that no process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
