"""Reads and writes the runs of one MLflow experiment.

Only this module, `models` and `mlflow_internals` import MLflow.

Every method may raise whatever MLflow raises; `tracker` and `sync` decide what to do about it.
"""

import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow.entities
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import DatasetInput, InputTag, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from PIL import Image

from transgan.errors import UserError
from transgan.tracking.describe import METRICS_PER_CALL, Metric
from transgan.tracking.mlflow_internals import SystemMonitor, limit_attempts
from transgan.tracking.uri import database_file
from transgan.utils.escape import mlflow_filter_value

PARAMETERS_PER_CALL = 100  # MLflow's limit
# Lets MLflow's page open on training runs instead of language models.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
# MLflow takes 36. Runs of earlier versions have 16 and a source that does not open; MLflow keeps the first source of a
# name and digest, so the digest must differ from theirs.
DIGEST_CHARACTERS = 32


@dataclass(frozen=True)
class Store:
    """An open database and one scale's experiment in it."""

    client: MlflowClient
    uri: str
    experiment: str  # its id

    @classmethod
    def open(cls, uri: str, experiment: str) -> "Store":
        """Open the database and the experiment of that name; create either if it does not exist."""
        for name in ("mlflow", "alembic"):  # their messages on migrations and monitors are of no use here
            logging.getLogger(name).setLevel(logging.ERROR)
        if not uri.startswith(("http://", "https://")):
            limit_attempts()
        client = MlflowClient(tracking_uri=uri)
        return cls(client, uri, _experiment_id(client, experiment, uri))

    def create(self, name: str, tags: Mapping[str, str], started: int | None = None) -> str:
        """Create a run and return its id; `started` is in milliseconds since 1970."""
        run = self.client.create_run(self.experiment, run_name=name, tags=dict(tags), start_time=started)
        run_id: str = run.info.run_id
        return run_id

    def has(self, run_id: str | None) -> bool:
        """Whether the run exists in this experiment and is not deleted.

        A server with passwords answers "permission denied" to all but its administrators where there is no such run.
        """
        if not run_id:
            return False
        try:
            info = self.client.get_run(run_id).info
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"):
                return False
            raise
        return bool(info.lifecycle_stage == "active" and info.experiment_id == self.experiment)

    def status(self, run_id: str) -> str:
        """RUNNING, FINISHED, FAILED or KILLED."""
        return str(self.client.get_run(run_id).info.status)

    def reopen(self, run_id: str) -> None:
        """Set an ended run to RUNNING again."""
        self.client.update_run(run_id, status="RUNNING")
        self.drop_reason(run_id)

    def end(self, run_id: str, status: str, ended: int | None = None) -> None:
        """Set the final status of a run; `ended` is in milliseconds since 1970, by default now."""
        self.client.set_terminated(run_id, status, ended)

    def set_reason(self, run_id: str, reason: str) -> None:
        """Set the tag `reason`: why the run did not finish."""
        self.client.set_tag(run_id, "reason", reason)

    def drop_reason(self, run_id: str) -> None:
        """Delete the tag `reason` that an earlier session left."""
        if "reason" in self.client.get_run(run_id).data.tags:
            self.client.delete_tag(run_id, "reason")

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set those of `tags` that the run does not have."""
        stored = self.client.get_run(run_id).data.tags
        for key, value in tags.items():
            if stored.get(key) != value:
                self.client.set_tag(run_id, key, value)

    def other(self, experiment: str) -> "Store":
        """The experiment of another name in the same database, created if it does not exist."""
        return Store(self.client, self.uri, _experiment_id(self.client, experiment, self.uri))

    def find(self, tags: Mapping[str, str]) -> str | None:
        """The id of the newest run with all of `tags`, or None."""
        quoted = {key: mlflow_filter_value(value) for key, value in tags.items()}
        condition = " and ".join(f"tags.`{key}` = {value}" for key, value in quoted.items() if value is not None)
        runs = self.client.search_runs([self.experiment], condition, order_by=["attributes.start_time DESC"])
        found = (run for run in runs if all(run.data.tags.get(key) == value for key, value in tags.items()))
        return next((run.info.run_id for run in found), None)

    def with_stage(self, stage: str) -> list[mlflow.entities.Run]:
        """Every run with this tag `stage` that is not deleted, oldest first."""
        runs: list[mlflow.entities.Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment],
                f"tags.stage = {mlflow_filter_value(stage)}",
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def delete(self, run_id: str) -> None:
        """Delete a run. On a server, whoever may log runs may not always delete them: there it stays."""
        try:
            self.client.delete_run(run_id)
        except MlflowException as error:
            if error.error_code != "PERMISSION_DENIED":
                raise

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Log at most METRICS_PER_CALL values."""
        assert len(metrics) <= METRICS_PER_CALL
        entities = [mlflow.entities.Metric(m.key, m.value, m.time, m.step, m.model) for m in metrics]
        self.client.log_batch(run_id, metrics=entities)

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Log parameters; MLflow refuses to change one that exists."""
        entities = [Param(key, value) for key, value in parameters.items()]
        for start in range(0, len(entities), PARAMETERS_PER_CALL):
            self.client.log_batch(run_id, params=entities[start : start + PARAMETERS_PER_CALL])

    def log_dataset(self, run_id: str, name: str, digest: str, folder: Path) -> None:
        """Log the name, content digest and folder of the training data, unless done, without loading the data."""
        short = digest[:DIGEST_CHARACTERS]
        if any(each.dataset.digest == short for each in self.client.get_run(run_id).inputs.dataset_inputs):
            return
        dataset = MetaDataset(LocalArtifactDatasetSource(str(folder.absolute())), name=name, digest=short)
        tag = InputTag("mlflow.data.context", "training")
        self.client.log_inputs(run_id, datasets=[DatasetInput(mlflow.entities.Dataset(**dataset.to_dict()), [tag])])

    def log_image(self, run_id: str, path: Path, key: str, step: int) -> None:
        """Add one image to the image series `key`."""
        with Image.open(path) as image:
            self.client.log_image(run_id, image.convert("RGB"), key=key, step=step)

    def values(self, run_id: str, key: str) -> dict[int, float]:
        """Step -> newest value of one metric."""
        history = sorted(self.client.get_metric_history(run_id, key), key=lambda metric: metric.timestamp)
        return {metric.step: metric.value for metric in history}

    def artifacts(self, run_id: str) -> set[str]:
        """Names of the files and folders at the top level of a run's artifacts."""
        return {item.path for item in self.client.list_artifacts(run_id)}

    def monitor_system(self, run_id: str) -> SystemMonitor:
        """Start logging the machine's load to a run, until `stop` of the result is called."""
        monitor = SystemMonitor(run_id, self.uri)
        monitor.start()
        return monitor


def _address(uri: str) -> str:
    """What a command of MLflow's needs before it to find this database; nothing where the environment names it."""
    return "" if os.environ.get("MLFLOW_TRACKING_URI") else f"MLFLOW_TRACKING_URI={shlex.quote(uri)} "


def _experiment_id(client: MlflowClient, name: str, uri: str) -> str:
    """The id of the experiment `name`, created if necessary.

    Artifacts lie beside an SQLite database; a server chooses the place itself.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        database = database_file(uri)
        location = (database.parent / "mlruns" / name).as_uri() if database else None
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException as error:  # on a server, another process may have created it in the meantime
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage != "active":
        number = experiment.experiment_id
        raise UserError(
            f"MLflow: the experiment {name} was deleted; "
            f"run `{_address(uri)}mlflow experiments restore --experiment-id {number}`, then `transgan sync`"
        )
    return str(experiment.experiment_id)
