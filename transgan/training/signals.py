"""Stop signals: SIGTERM (sent by Slurm and other schedulers) and SIGINT (Ctrl-C). Training stops after its step."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from transgan.utils.exit_codes import SAME_REQUEST_SECONDS

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass
class StopRequest:
    """`signum` is the number of the first signal received; 0: none."""

    signum: int = 0


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Record SIGTERM and SIGINT instead of exiting. A second one after SAME_REQUEST_SECONDS has its usual effect."""
    request = StopRequest()
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    received_at = 0.0

    def handle(signum: int, _: FrameType | None) -> None:
        nonlocal received_at
        if not request.signum:
            request.signum, received_at = signum, time.monotonic()
        elif time.monotonic() - received_at > SAME_REQUEST_SECONDS:
            signal.signal(signum, before[signal.Signals(signum)])
            signal.raise_signal(signum)

    try:
        for signum in SIGNALS:
            signal.signal(signum, handle)
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
