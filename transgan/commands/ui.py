"""`transgan ui`: the address of the page where the runs are, and MLflow's server for this project's database."""

import os
import socket
import sys
from typing import NoReturn

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.tracking import pages
from transgan.tracking.uri import database_file, tracking_uri
from transgan.utils.console import say
from transgan.utils.secrets import mask

HOST = "127.0.0.1"


def ui(plan: Plan, port: int) -> None:
    """Print the addresses of a scale's pages; for a database file, also become `mlflow ui` until it is interrupted.

    Raises UserError where nothing has been logged, where MLflow cannot be used, or where the port is taken.
    """
    uri = tracking_uri()
    file = database_file(uri)
    if file is not None and not file.exists():
        raise UserError(f"{file}: nothing has been logged yet; run `{plan.command('sync')}` first")
    is_server = uri.startswith(("http://", "https://"))
    if not is_server:
        _require_free(port)
    base = mask(uri.rstrip("/")) if is_server else f"http://{HOST}:{port}"
    for name, path in pages.addresses(plan).items():
        say(f"{name}: {base}{path}")
    if not is_server:
        _serve(uri, port)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"port {port} cannot be used ({error}); name another, such as --port {port % 60000 + 1}"
            ) from error


def _serve(uri: str, port: int) -> NoReturn:
    sys.stdout.flush()
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri  # not among the arguments, which every user of the machine can read
    os.execv(
        sys.executable, [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    )
