"""What this project uses of MLflow beyond its documented interfaces. No other module uses such names.

MLflow may change them in any release. The tests of this module run each of them, with the release named in `TESTED`.
"""

import threading

from mlflow.store.db import utils
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

TESTED = "3.17"

SYSTEM_METRICS_SECONDS = 30.0
DATABASE_ATTEMPTS = 4


class SystemMonitor(SystemMetricsMonitor):  # type: ignore[misc]
    """Logs the machine's load in a thread. MLflow's own monitor ends at its first failure; this one starts over."""

    def __init__(self, run_id: str, uri: str) -> None:
        self._stopped = threading.Event()
        super().__init__(run_id, sampling_interval=SYSTEM_METRICS_SECONDS, resume_logging=True, tracking_uri=uri)

    def monitor(self) -> None:
        """Log until `stop`, whatever fails. Called in the thread."""
        while not self._stopped.is_set():
            super().monitor()
            self._stopped.wait(SYSTEM_METRICS_SECONDS)

    def stop(self, wait: bool) -> None:
        """Send what there is and end the thread; without `wait`, in the background."""
        self._stopped.set()
        if wait:
            self.finish()
        else:
            threading.Thread(target=self.finish, daemon=True).start()


def limit_attempts() -> None:
    """Give a database up after about a second that cannot be opened; MLflow's own ten attempts take 100 s."""
    utils.MAX_RETRY_COUNT = DATABASE_ATTEMPTS
