"""One training run's entry in MLflow. Trouble with it is said once and never reaches training."""

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from transgan.config.plan import Plan, Run
from transgan.tracking import describe
from transgan.tracking.store import METRICS_PER_CALL, Metric, Store, connect
from transgan.utils import files

logger = logging.getLogger(__name__)


Status = Literal["FINISHED", "FAILED", "KILLED"]

FLUSH_SECONDS = 15.0
# After trouble: how long the rows wait before the database is tried again.
PAUSE_SECONDS = 300.0
SYSTEM_METRICS_SECONDS = 30.0
# Columns of history.csv that are not curves.
AXES = ("images", "step")


class Tracker:
    """A run in MLflow, or nothing at all where MLflow could not be opened: its methods can always be called and never raise for it.

    As a context manager it ends the run FINISHED, KILLED (an interruption) or FAILED (any other exception, named in the tag `reason`).
    """

    def __init__(self, store: Store | None = None, run_id: str | None = None, strict: bool = False) -> None:
        """With `strict` trouble is raised: for commands whose whole point is MLflow."""
        self.run_id = run_id
        self._store = store
        self._strict = strict
        self._waiting: list[Metric] = []
        self._stored: dict[str, dict[int, float]] = {}
        self._flushed = time.monotonic()
        self._paused_until = 0.0
        self._complained = False
        self._monitor: Any = None

    @property
    def usable(self) -> bool:
        """Whether there is a run to write to and no pause after trouble."""
        return self._store is not None and time.monotonic() >= self._paused_until

    @property
    def _open_store(self) -> Store:
        assert self._store is not None
        return self._store

    @property
    def _open_run(self) -> str:
        assert self.run_id is not None
        return self.run_id

    @classmethod
    def open(cls, plan: Plan, run: Run, fingerprint: str, data: str, run_id: str | None) -> "Tracker":
        """Go on with the MLflow run `run_id`, or begin a new one where it is None or not in the database.

        `fingerprint` is the train stage's, `data` the pack's content digest. `run_id` of the result is None if MLflow cannot be used.
        """
        tracker = cls()
        with tracker._guarded("opening the database"):
            store = connect(plan.scale_name)
            if run_id and store.has(run_id):
                store.reopen(run_id)
            else:
                run_id = create(store, plan, run, fingerprint, data)
            tracker._store, tracker.run_id = store, run_id
            tracker._watch_system()
        return tracker

    def log(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Add rows of curves; each has `images`, the position on the axis. Sent in batches; what is stored already is not stored again."""
        now = int(time.time() * 1000)
        self._waiting += [
            Metric(key, float(row[key]), int(row["images"]), now) for row in rows for key in row if key not in AXES
        ]
        if len(self._waiting) >= METRICS_PER_CALL or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def picture(self, path: Path, name: str, images: int | None = None) -> None:
        """Keep a picture: as artifact `name`, or, with `images`, as one point of the picture series `name` along training."""
        if not self.usable:
            return
        with self._guarded(f"keeping {path.name}"):
            if images is None:
                self._keep(path, name)
            else:
                self._keep_in_series(path, name, images)

    def scores(self, scores: Mapping[str, Any], dataset: str) -> None:
        """Keep the content of a scores/<run>.json: metrics `<metric>/<dataset>/<protocol>` at the trained images, and the file itself."""
        if not self.usable:
            return
        now = int(time.time() * 1000)
        for protocol, metrics in scores["protocols"].items():
            for metric, entry in metrics.items():
                values = entry["values"]
                key = f"{metric}/{dataset}/{protocol}"
                self._waiting.append(Metric(key, sum(values) / len(values), int(scores["images"]), now))
        self._flush()
        with self._guarded("keeping the scores"):
            self._open_store.client.log_dict(self.run_id, dict(scores), "scores.json")

    def finish(self, status: Status = "FINISHED", reason: str | None = None) -> None:
        """Send what is waiting and end the run; `reason` says why it did not finish. A second call does nothing."""
        if self._store is None:
            return
        self._paused_until = 0.0
        self._flush()
        with self._guarded("ending the run"):
            if self._monitor is not None:
                self._monitor.finish()
            if reason:
                self._store.client.set_tag(self.run_id, "reason", reason)
            self._store.client.set_terminated(self.run_id, status)
        self._store = None

    def close(self, finished: int | None = None) -> None:
        """Send what is waiting, and say that the run has FINISHED, whatever an earlier session of it, interrupted or failed, was the last to say.

        `finished` is in milliseconds since 1970. A run that has FINISHED already is left as it is.
        """
        self._flush()
        if self._open_store.client.get_run(self.run_id).info.status != "FINISHED":
            self._open_store.drop_reason(self._open_run)
            self._open_store.client.set_terminated(self.run_id, "FINISHED", finished)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish("FINISHED")
        elif isinstance(error, KeyboardInterrupt):
            self.finish("KILLED", "interrupted")
        else:
            self.finish("FAILED", one_line(error))

    def _flush(self) -> None:
        """Send what is waiting, but for values that the database has."""
        if not self.usable:
            return
        self._flushed = time.monotonic()
        with self._guarded("storing curves"):
            self._waiting = [metric for metric in self._waiting if not self._is_stored(metric)]
            while self._waiting:
                batch = self._waiting[:METRICS_PER_CALL]
                self._open_store.log_metrics(self._open_run, batch)
                for metric in batch:
                    self._stored[metric.key][metric.step] = metric.value
                self._waiting = self._waiting[METRICS_PER_CALL:]

    def _is_stored(self, metric: Metric) -> bool:
        """Whether the curve has this step; MLflow would store a resumed run's steps twice."""
        if metric.key not in self._stored:
            self._stored[metric.key] = self._open_store.steps(self._open_run, metric.key)
        held = self._stored[metric.key]
        # A score may be measured again, by another protocol of the same name; a curve's point may not.
        return metric.step in held and ("/" not in metric.key or held[metric.step] == metric.value)

    def _keep(self, path: Path, name: str) -> None:
        """MLflow names an artifact after its file, so the file is copied where the name differs."""
        target = Path(name)
        parent = None if target.parent == Path() else str(target.parent)
        with tempfile.TemporaryDirectory() as folder:
            files.link_or_copy(path, Path(folder) / target.name)
            self._open_store.client.log_artifact(self.run_id, str(Path(folder) / target.name), parent)

    def _keep_in_series(self, path: Path, name: str, images: int) -> None:
        from PIL import Image

        with Image.open(path) as picture:
            self._open_store.client.log_image(self.run_id, picture.convert("RGB"), key=name, step=images)

    def _watch_system(self) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        uri = self._open_store.uri
        self._monitor = SystemMetricsMonitor(
            self.run_id, sampling_interval=SYSTEM_METRICS_SECONDS, resume_logging=True, tracking_uri=uri
        )
        self._monitor.start()

    @contextmanager
    def _guarded(self, doing: str) -> Iterator[None]:
        """Turn any trouble into one line, once, and into a pause, so that a server that is away does not slow training."""
        try:
            yield
        except Exception as error:
            if self._strict:
                raise
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            if not self._complained:
                logger.warning(
                    f"tracking: {doing} failed ({one_line(error)}); training goes on, `transgan sync` brings in what is missing"
                )
            self._complained = True


def create(
    store: Store, plan: Plan, run: Run, fingerprint: str, data: str, origin: Mapping[str, Any] | None = None
) -> str:
    """Make the MLflow run of a training run, with its tags, parameters and data, and return its id.

    `origin` is the provenance of a training run that is over: its commit and start, not this process's.
    """
    source = {key: origin.get(key) for key in ("commit", "dirty")} if origin else None
    run_id = store.create(
        run.name,
        describe.tags(plan, run, fingerprint, data, source),
        milliseconds(origin.get("started")) if origin else None,
    )
    store.log_parameters(run_id, describe.parameters(run))
    store.log_dataset(
        run_id, run.dataset_name, data, {"source": run.dataset.source, "resolution": str(run.dataset.resolution)}
    )
    return run_id


def milliseconds(moment: str | None) -> int | None:
    """An ISO 8601 moment as MLflow counts time: milliseconds since 1970."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if moment else None


def one_line(error: BaseException) -> str:
    """An exception in one readable line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
