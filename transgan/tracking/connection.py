"""Opens the MLflow database. MLflow is imported only then, since that takes seconds."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from transgan.tracking.uri import database_file, tracking_uri
from transgan.utils import locks

if TYPE_CHECKING:
    from transgan.tracking.store import Store


def connect(scale: str) -> "Store":
    """Open the database and the experiment `transgan-<scale>`; create either if it does not exist.

    Raises whatever MLflow raises.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # An unreachable server must not delay training for minutes: by default MLflow tries 7 times for up to 120 s.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    from transgan.tracking.store import Store  # MLflow reads these variables when it is imported

    uri = tracking_uri()
    with _one_at_a_time(uri):
        return Store.open(uri, f"transgan-{scale}")


def _one_at_a_time(uri: str) -> AbstractContextManager[None]:
    """A lock for opening an SQLite database: two processes that create one at the same time fail."""
    database = database_file(uri)
    if database is None:
        return nullcontext()
    return locks.lock(database.with_name(f"{database.name}.lock"), f"opening {database}", wait=True)
