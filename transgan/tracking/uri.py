"""Where the MLflow database is."""

import os
from pathlib import Path

from transgan.pipeline import dvc_copies


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the database in the project's root (the working directory)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_root() / 'mlflow.db'}"


def _root() -> Path:
    """The project's root: the working directory, or where DVC copied it from, so that a run outlives the copy."""
    here = Path.cwd()
    return dvc_copies.original(here) or here


def database_file(uri: str) -> Path | None:
    """The file of an SQLite database; None for a server."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None
