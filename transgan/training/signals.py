"""Being told to stop: SIGTERM (Slurm, a scheduler) and SIGINT (Ctrl-C) are noted, and training leaves at the next step's end."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAME_REQUEST_SECONDS = 5.0  # Slurm and torchrun tell every process, and whoever started it passes it on once more


class Stopped(SystemExit):
    """Training was told to stop and has saved where it was. Exit code as a shell reports the signal: 143 for SIGTERM, 130 for SIGINT."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)


@dataclass
class StopRequest:
    """`signum` of the first signal that came; 0: none."""

    signum: int = 0


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Note signals instead of dying of them. One that comes SAME_REQUEST_SECONDS later has its usual effect, for whoever cannot wait."""
    request = StopRequest()
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}

    noted_at = 0.0

    def note(signum: int, _: FrameType | None) -> None:
        nonlocal noted_at
        if not request.signum:
            request.signum, noted_at = signum, time.monotonic()
        elif time.monotonic() - noted_at > SAME_REQUEST_SECONDS:
            signal.signal(signum, before[signal.Signals(signum)])
            signal.raise_signal(signum)

    try:
        for signum in SIGNALS:
            signal.signal(signum, note)
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
