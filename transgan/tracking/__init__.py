"""Logs every training run to MLflow. A failure here never stops training or changes a result.

`Tracker` logs a run while it trains; `record_scores` and `record_tables` add what later stages compute;
`record_short_runs` logs the runs that were too short to be followed; `sync` logs whatever the database lacks. The
database is sqlite:///<root>/mlflow.db, or the one that MLFLOW_TRACKING_URI names.
"""

from transgan.tracking.sync import record_run, record_scores, record_short_runs, record_tables, sync
from transgan.tracking.tracker import Tracker

__all__ = ["Tracker", "record_run", "record_scores", "record_short_runs", "record_tables", "sync"]
