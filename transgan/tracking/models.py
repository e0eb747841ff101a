"""Generators in MLflow: logged with signature and input example, registered under their run's name, and read again.

Imports MLflow, as `store` does.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

import mlflow.artifacts
import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

import transgan
from transgan.metrics.generator_files import SHARED
from transgan.schema.params import LogModel
from transgan.tracking import generator_flavor
from transgan.tracking.describe import DESCRIPTION
from transgan.tracking.store import Store
from transgan.utils import files
from transgan.utils.escape import mlflow_filter_value

WEIGHTS = "generator"  # the folder of the weights in a logged model, below `data`
EXAMPLE = {"n": [4], "seed": [0]}


def log_generator(
    store: Store, run_id: str, name: str, weights: Path, resolution: int, how: LogModel, tags: Mapping[str, str]
) -> str | None:
    """Log a run's generator and register it under `name`, unless that is done; return its id, None without a model.

    With `how` "link", the weights are a hard link to `weights` (a copy on another file system), and there is no model
    where MLflow keeps its files behind a server. `tags` are those of the run; the alias of the version is its scale.
    """
    if how == "none":
        return None
    model = _logged(store, run_id)
    if model is None:
        experiment = store.client.get_experiment(store.experiment)
        if how == "link" and _local_folder(experiment.artifact_location) is None:
            return None
        model = store.client.create_logged_model(
            store.experiment, name, run_id, {key: tags[key] for key in ("run", "scale", "fingerprint", "data")}, {}
        )
        _upload(store, model, run_id, weights, resolution, how)
        store.client.finalize_logged_model(model.model_id, "READY")
    if not store.client.search_model_versions(f"run_id = '{run_id}'"):
        _register(store, model, run_id, name, tags)
    return str(model.model_id)


def download(uri: str, tracking_uri: str, folder: Path) -> Path:
    """Download a logged generator (`models:/NAME/1`, `models:/NAME@ALIAS`) and return the folder of its weights."""
    with _environment(tracking_uri):
        local = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    return local / "data" / WEIGHTS


def _logged(store: Store, run_id: str) -> LoggedModel | None:
    """The run's finished model. One that a process left unfinished is deleted."""
    found = store.client.search_logged_models([store.experiment], f"source_run_id = {mlflow_filter_value(run_id)}")
    for model in found:
        if model.status == "READY":
            return model
        store.client.delete_logged_model(model.model_id)
    return None


def _upload(store: Store, model: LoggedModel, run_id: str, weights: Path, resolution: int, how: LogModel) -> None:
    shape = (-1, resolution, resolution, 3)
    signature = ModelSignature(
        Schema([ColSpec("long", "n"), ColSpec("long", "seed", required=False)]),
        Schema([TensorSpec(np.dtype("uint8"), shape)]),
    )
    with tempfile.TemporaryDirectory() as temporary, _environment(store.uri):
        data = Path(temporary) / WEIGHTS
        data.mkdir()
        if how == "copy":
            files.link_or_copy(weights, data / SHARED)
        else:
            files.write_text(data / "sha256.txt", f"{files.sha256(weights)}  {SHARED}\n")
        folder = Path(temporary) / "model"
        mlflow.pyfunc.save_model(
            folder,
            loader_module=generator_flavor.__name__,
            data_path=str(data),
            signature=signature,
            input_example=pd.DataFrame(EXAMPLE),
            pip_requirements=[f"transgan=={transgan.__version__}"],
            mlflow_model=Model(run_id=run_id, model_id=model.model_id),
        )
        store.client.log_model_artifacts(model.model_id, str(folder))
    local = _local_folder(model.artifact_location)
    if how == "link" and local is not None:
        files.link_or_copy(weights, local / "data" / WEIGHTS / SHARED)


def _register(store: Store, model: LoggedModel, run_id: str, name: str, tags: Mapping[str, str]) -> None:
    try:
        store.client.create_registered_model(
            name, description=f"Generators of the run `{name}`; the alias of a version is its scale."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with _environment(store.uri):
        version = store.client.create_model_version(
            name,
            f"models:/{model.model_id}",
            run_id,
            tags={key: tags[key] for key in ("scale", "fingerprint", "commit")},
            description=tags[DESCRIPTION],
            model_id=model.model_id,
        )
    store.client.set_registered_model_alias(name, alias(tags["scale"]), version.version)


def alias(scale: str) -> str:
    """The alias of a scale's newest version: its name, unless MLflow reserves that."""
    return f"scale-{scale}" if re.fullmatch(r"latest|v\d+", scale) else scale


def _local_folder(location: str) -> Path | None:
    """The folder that an artifact location of MLflow names, if it is one of this machine."""
    parsed = urlparse(location)
    return Path(unquote(parsed.path)) if parsed.scheme in ("", "file") else None


@contextmanager
def _environment(uri: str) -> Iterator[None]:
    """Some functions of MLflow find the database by this variable only. `uv.lock` is of no use beside a model."""
    changed = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_UV_AUTO_DETECT": "false"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
