"""Tracking: every training run in MLflow, the only package that knows it. Nothing here can stop training or change a result.

The database is sqlite:///<root>/mlflow.db unless MLFLOW_TRACKING_URI says otherwise. What it missed, `sync` brings in from the results.
"""

from transgan.tracking.sync import record_scores, record_tables, sync
from transgan.tracking.tracker import Tracker

__all__ = ["Tracker", "record_scores", "record_tables", "sync"]
