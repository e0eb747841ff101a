"""Reads a generator from MLflow's registry. MLflow is imported only then."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from transgan.errors import UserError
from transgan.tracking.advice import advice, reason
from transgan.tracking.connection import prepare
from transgan.tracking.uri import tracking_uri

if TYPE_CHECKING:
    from transgan.models.serialization import Saved


def read_model(uri: str) -> "Saved":
    """The generator that `models:/NAME/1` or `models:/NAME@ALIAS` names. Raises UserError if there is none."""
    from transgan.metrics import generator_files

    with tempfile.TemporaryDirectory() as folder:
        try:
            prepare()
            from transgan.tracking import models

            weights = models.download(uri, tracking_uri(), Path(folder))
        except Exception as error:
            raise UserError(f"{uri} cannot be read from MLflow ({reason(error)}); {advice(error)}") from error
        if not generator_files.is_shared(weights):
            raise UserError(f"{uri}: no generator of this project; `transgan ui` shows where its models are")
        return generator_files.read(weights)
