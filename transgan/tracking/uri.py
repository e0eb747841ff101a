"""Where the MLflow database is."""

import os
from pathlib import Path


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the database in the project's root (the working directory)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def database_file(uri: str) -> Path | None:
    """The file of an SQLite database; None for a server."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None
