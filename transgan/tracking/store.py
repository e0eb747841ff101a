"""The door to MLflow: where the database is, opening it when several processes come at once, and finding or making runs in it.

Every function here may raise whatever MLflow raises; `tracker` and `sync` decide what that means.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transgan.utils import files

# MLflow's limits of one call.
METRICS_PER_CALL = 1000
PARAMETERS_PER_CALL = 100
# MLflow's page opens on training runs, not on language models.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class Metric:
    """One value of a curve: `step` is real images shown, `time` milliseconds since 1970."""

    key: str
    value: float
    step: int
    time: int


@dataclass(frozen=True)
class Store:
    """An open database and one scale's experiment in it."""

    client: Any
    uri: str
    experiment: str

    def create(self, name: str, tags: Mapping[str, str], started: int | None = None) -> str:
        """Make a run and return its id; `started` is in milliseconds since 1970."""
        run_id: str = self.client.create_run(
            self.experiment, run_name=name, tags=dict(tags), start_time=started
        ).info.run_id
        return run_id

    def has(self, run_id: str | None) -> bool:
        """Whether the run is there, in this experiment and not deleted."""
        from mlflow.exceptions import MlflowException

        if not run_id:
            return False
        try:
            info = self.client.get_run(run_id).info
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return bool(info.lifecycle_stage == "active" and info.experiment_id == self.experiment)

    def reopen(self, run_id: str) -> None:
        """Set an ended run going again."""
        self.client.update_run(run_id, status="RUNNING")
        self.drop_reason(run_id)

    def drop_reason(self, run_id: str) -> None:
        """Forget why an earlier session of a run did not finish."""
        if "reason" in self.client.get_run(run_id).data.tags:
            self.client.delete_tag(run_id, "reason")

    def find(self, tags: Mapping[str, str]) -> str | None:
        """The newest run that has all of `tags`, if there is one."""
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        runs = self.client.search_runs(
            [self.experiment], condition, max_results=1, order_by=["attributes.start_time DESC"]
        )
        return runs[0].info.run_id if runs else None

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Store at most METRICS_PER_CALL values."""
        from mlflow.entities import Metric as Entity

        self.client.log_batch(run_id, metrics=[Entity(m.key, m.value, m.time, m.step) for m in metrics])

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Store parameters; MLflow refuses to change one that is there."""
        from mlflow.entities import Param

        entities = [Param(key, value) for key, value in parameters.items()]
        for start in range(0, len(entities), PARAMETERS_PER_CALL):
            self.client.log_batch(run_id, params=entities[start : start + PARAMETERS_PER_CALL])

    def log_dataset(self, run_id: str, name: str, digest: str, source: Mapping[str, str]) -> None:
        """Note what a run was trained on: the content's digest, without loading it."""
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        dataset = MetaDataset(CodeDatasetSource(dict(source)), name=name, digest=digest[:DIGEST_CHARACTERS])
        self.client.log_inputs(
            run_id, datasets=[DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])]
        )

    def steps(self, run_id: str, key: str) -> dict[int, float]:
        """Step -> newest value of one curve."""
        history = sorted(self.client.get_metric_history(run_id, key), key=lambda metric: metric.timestamp)
        return {metric.step: metric.value for metric in history}

    def artifacts(self, run_id: str) -> set[str]:
        """Names of the files and folders at the top of a run's artifacts."""
        return {item.path for item in self.client.list_artifacts(run_id)}


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the database in the project's root (the working directory)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def connect(scale: str) -> Store:
    """Open the database and the experiment `transgan-<scale>`, making both where they are not there yet."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # A server that is away must not hold training for minutes: MLflow's own defaults are 7 tries of up to 120 s.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):  # migrations and monitors tell what no user here needs to know
        logging.getLogger(name).setLevel(logging.ERROR)
    uri = tracking_uri()
    with _alone(uri):
        client = MlflowClient(tracking_uri=uri)
        return Store(client, uri, _experiment(client, f"transgan-{scale}", uri))


def _alone(uri: str) -> AbstractContextManager[None]:
    """Two processes that create an SQLite database at once fail (docs/mlflow.md), so one opens it after the other."""
    database = _database(uri)
    return (
        files.lock(database.with_name(f"{database.name}.lock"), f"opening {database}", wait=True)
        if database
        else nullcontext()
    )


def _database(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None


def _experiment(client: Any, name: str, uri: str) -> str:
    """Id of the experiment `name`. An SQLite database has its artifacts beside it; a server decides for itself."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        database = _database(uri)
        location = (database.parent / "mlruns" / name).as_uri() if database else None
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException as error:  # on a server another process may have been quicker
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    return str(found.experiment_id)
