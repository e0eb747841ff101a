"""Opens the MLflow database. MLflow is imported only then, since that takes seconds.

Training waits for MLflow, so every wait has a limit, unless the user's own variables set another.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from transgan.tracking.uri import database_file, tracking_uri
from transgan.utils import locks

if TYPE_CHECKING:
    from transgan.tracking.store import Store

LOCK_SECONDS = 30.0  # the longest wait for another process that opens the database
# By default MLflow tries a server 7 times for up to 120 s, and a database may take as long as TCP to be given up.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "PGCONNECT_TIMEOUT": "10",
}


def connect(scale: str) -> "Store":
    """Open the database and the experiment `transgan-<scale>`; create either if it does not exist.

    Raises whatever MLflow raises.
    """
    prepare()
    from transgan.tracking.store import Store

    uri = tracking_uri()
    with _one_at_a_time(uri):
        return Store.open(uri, f"transgan-{scale}")


def prepare() -> None:
    """Set the variables that MLflow reads when it is imported, unless the user has set them."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # at the end of each run on a server
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)


def _one_at_a_time(uri: str) -> AbstractContextManager[None]:
    """A lock for opening an SQLite database: two processes that create one at the same time fail."""
    database = database_file(uri)
    if database is None:
        return nullcontext()
    return locks.lock(database.with_name(f"{database.name}.lock"), f"opening {database}", True, LOCK_SECONDS)
