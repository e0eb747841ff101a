"""Logs one training run to MLflow. A failure gives one warning and does not reach training."""

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from transgan.config.plan import Plan, Run
from transgan.metrics.authors_curve import Position
from transgan.tracking import describe
from transgan.tracking.advice import explained, reason
from transgan.tracking.connection import connect
from transgan.tracking.describe import METRICS_PER_CALL, NO_STEP, SCORE_PREFIX, Metric
from transgan.utils import files

if TYPE_CHECKING:
    from transgan.tracking.store import Store

logger = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED", "KILLED"]

FLUSH_SECONDS = 15.0
# How long to wait after a failure before the database is tried again; twice as long after each further one.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 300.0, 3600.0
# Sending takes at most one part in this many of the time: a slow server gets its values in fewer, larger batches.
SHARE = 10
CONFIGURATION = "config.yaml"  # the artifact with the resolved configuration
# Columns of history.csv that are not metrics.
AXES = ("images", "step")


class Tracker:
    """A run in MLflow. Where MLflow could not be opened, the methods do nothing; they never raise because of MLflow.

    As a context manager it ends the run as FINISHED, as KILLED (an interruption), or as FAILED (any other exception,
    which the tag `reason` names).
    """

    def __init__(
        self, store: "Store | None" = None, run_id: str | None = None, strict: bool = False, is_new: bool = False
    ) -> None:
        """With `strict`, failures of MLflow are raised, as `transgan sync` needs it.

        With `is_new`, this process has just created the run: its values are not read back before they are sent.
        """
        self.run_id = run_id
        self._store = store
        self._strict = strict
        self._queue: list[Metric] = []  # not sent yet
        self._stored: dict[str, dict[int, float]] = {}  # metric -> step -> value, as in the database
        self._is_new = is_new
        self._next_flush = monotonic() + FLUSH_SECONDS
        self._pause = PAUSE_SECONDS
        self._paused_until = 0.0
        self._warned = False
        self._monitor: Any = None
        self.seconds = 0.0  # time that was spent waiting for MLflow

    @property
    def usable(self) -> bool:
        """Whether there is a run to write to, and no pause after a failure."""
        return self._store is not None and monotonic() >= self._paused_until

    @property
    def may_reopen(self) -> bool:
        """Whether MLflow could not be opened, and the pause after that is over."""
        return self.run_id is None and self._warned and monotonic() >= self._paused_until

    @property
    def _open_store(self) -> "Store":
        assert self._store is not None
        return self._store

    @property
    def _open_run(self) -> str:
        assert self.run_id is not None
        return self.run_id

    @classmethod
    def open(
        cls,
        plan: Plan,
        run: Run,
        fingerprint: str,
        data: str,
        run_id: str | None,
        earlier: "Tracker | None" = None,
        started: str | None = None,
    ) -> "Tracker":
        """Continue the MLflow run `run_id`, or start a new one if it is None or not in the database.

        `fingerprint` is that of the train stage, `data` the content digest of the pack. The result's `run_id` is None
        if MLflow cannot be used. `earlier` is the tracker of an earlier try, whose failure has been printed. `started`
        is when training began (ISO 8601), by default now: a run is opened only after a while.
        """
        tracker = cls()
        if earlier is not None:
            tracker._warned, tracker._pause, tracker.seconds = earlier._warned, earlier._pause, earlier.seconds
        with tracker._guarded("opening the database"):
            store = connect(plan.scale_name)
            if run_id and store.has(run_id):
                store.reopen(run_id)
            else:
                run_id = create(store, plan, run, fingerprint, data, started=started)
                tracker._is_new = True
            tracker._store, tracker.run_id = store, run_id
            tracker._monitor = store.monitor_system(run_id)
        return tracker

    def log_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log rows of the history; each has `images`, the position on the axis.

        They are sent in batches, and values that the database has already are skipped.
        """
        now = int(time.time() * 1000)
        self._queue += [
            Metric(key, float(row[key]), int(row["images"]), now) for row in rows for key in row if key not in AXES
        ]
        if monotonic() >= self._next_flush:
            self._flush()

    def log_fid(self, points: Sequence[tuple[int, float]], positions: Sequence[Position]) -> None:
        """Log FID along training (image count, FID), and where it stands on the authors' learning curve.

        Values that the database has already are skipped. The tag `authors_curve` names the newest position.
        """
        now = int(time.time() * 1000)
        self._queue += [Metric("fid_along_training", fid, images, now) for images, fid in points]
        self._queue += [Metric("curve_difference", each.difference, each.images, now) for each in positions]
        if points:
            self._flush()
        if positions:
            self._tag_position(positions[-1])

    def log_image(self, path: Path, name: str, images: int | None = None) -> None:
        """Log an image file as artifact `name`; with `images`, as the image at that step of the series `name`."""
        if not self.usable:
            return
        with self._guarded(f"logging {path.name}"):
            if images is None:
                self._log_artifact(path, name)
            else:
                self._open_store.log_image(self._open_run, path, name, images)

    def log_scores(
        self, scores: Mapping[str, Any], run: Run, position: Position | None = None, model: str | None = None
    ) -> None:
        """Log the content of a scores/<run>.json as a file and as metrics, also of the logged model with id `model`.

        A metric is called `score/<metric>.<dataset>.<protocol>`. With the score's `position` on the authors' learning
        curve, `curve_difference` is logged in the same way.
        """
        if not self.usable:
            return
        now = int(time.time() * 1000)
        for protocol, metrics in scores["protocols"].items():
            for metric, entry in metrics.items():
                values = entry["values"]
                key = describe.score_key(metric, run.dataset_name, protocol)
                self._queue.append(Metric(key, sum(values) / len(values), NO_STEP, now, model))
        if position is not None:
            key = describe.score_key("curve_difference", run.dataset_name, run.protocol_name)
            self._queue.append(Metric(key, position.difference, NO_STEP, now, model))
            self._tag_position(position)
        self._flush()
        with self._guarded("logging the scores"):
            self._open_store.client.log_dict(self._open_run, dict(scores), "scores.json")

    def finish(self, status: Status = "FINISHED", reason: str | None = None) -> None:
        """Send the queue and end the run; `reason` is why it did not finish. A second call does nothing.

        A server that does not answer is asked once: after a failure, the rest is left to `transgan sync`.
        """
        if self._store is None:
            return
        self._paused_until = 0.0
        self._flush()
        if self.usable:
            with self._guarded("ending the run"):
                if reason:
                    self._store.set_reason(self._open_run, reason)
                self._store.end(self._open_run, status)
        if self._monitor is not None:
            self._monitor.stop(wait=self.usable)
        self._store = None

    def mark_finished(self, ended: int | None = None) -> None:
        """Send the queue and set the status to FINISHED, whatever status an interrupted or failed session left.

        `ended` is in milliseconds since 1970. A run that is FINISHED already keeps its time.
        """
        self._flush()
        if self._open_store.status(self._open_run) != "FINISHED":
            self._open_store.drop_reason(self._open_run)
            self._open_store.end(self._open_run, "FINISHED", ended)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish("FINISHED")
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            self.finish("KILLED", "interrupted")
        else:
            self.finish("FAILED", reason(error))

    def _flush(self) -> None:
        """Send the queue, except values that the database has already."""
        if not self.usable:
            return
        begun = monotonic()
        with self._guarded("logging metrics"):
            self._queue = [metric for metric in self._queue if not self._is_stored(metric)]
            while self._queue:
                batch = self._queue[:METRICS_PER_CALL]
                self._open_store.log_metrics(self._open_run, batch)
                for metric in batch:
                    self._stored[metric.key][metric.step] = metric.value
                self._queue = self._queue[METRICS_PER_CALL:]
        ended = monotonic()
        self._next_flush = ended + max(FLUSH_SECONDS, (ended - begun) * (SHARE - 1))

    def _tag_position(self, position: Position) -> None:
        if self.usable:
            with self._guarded("setting a tag"):
                self._open_store.client.set_tag(self._open_run, "authors_curve", str(position))

    def _is_stored(self, metric: Metric) -> bool:
        """Whether the database has this value. MLflow would store the steps of a resumed run twice."""
        if metric.key not in self._stored:
            known = {} if self._is_new else self._open_store.values(self._open_run, metric.key)
            self._stored[metric.key] = known
        stored = self._stored[metric.key]
        # A score may change when the run is scored again; a value of the history does not change.
        return metric.step in stored and (
            not metric.key.startswith(SCORE_PREFIX) or stored[metric.step] == metric.value
        )

    def _log_artifact(self, path: Path, name: str) -> None:
        """Log a file as artifact `name`. MLflow names it after the file, so a link with that name is created first."""
        target = Path(name)
        parent = None if target.parent == Path() else str(target.parent)
        with tempfile.TemporaryDirectory() as folder:
            files.link_or_copy(path, Path(folder) / target.name)
            self._open_store.client.log_artifact(self._open_run, str(Path(folder) / target.name), parent)

    @contextmanager
    def _guarded(self, doing: str) -> Iterator[None]:
        """After a failure, warn once, and pause, so that an unreachable server does not slow training down."""
        begun = monotonic()
        try:
            yield
            self._pause = PAUSE_SECONDS
        except Exception as error:
            if self._strict:
                raise
            self._paused_until = monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            if not self._warned:
                logger.warning(
                    f"MLflow: {doing} failed ({explained(error)}); "
                    "training continues, `transgan sync` logs what is missing"
                )
            self._warned = True
        finally:
            self.seconds += monotonic() - begun


def create(
    store: "Store",
    plan: Plan,
    run: Run,
    fingerprint: str,
    data: str,
    origin: Mapping[str, Any] | None = None,
    started: str | None = None,
) -> str:
    """Create the MLflow run of a training run, with its tags, parameters and data, and return its id.

    `origin` is the provenance of a finished training run: its commit and start replace those of this process.
    """
    run_id = store.create(
        run.name,
        describe.tags(plan, run, fingerprint, data, origin),
        milliseconds(origin.get("started") if origin else started),
    )
    store.log_parameters(run_id, describe.parameters(run))
    store.log_dataset(run_id, run.dataset_name, data, plan.paths.data(run.dataset_name))
    store.client.log_text(run_id, describe.configuration(run), CONFIGURATION)
    return run_id


def milliseconds(moment: str | None) -> int | None:
    """An ISO 8601 time in milliseconds since 1970, the unit of MLflow."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if moment else None
