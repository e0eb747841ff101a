"""Log messages on standard error, and progress: a bar on a terminal, a line a minute elsewhere."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

LINE_EVERY_SECONDS = 60.0

logger = logging.getLogger(__name__)


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes each record as one line to standard error, whatever that is at the time.

    Work goes on when nobody reads the lines any more, for example when Ctrl-C ended the `tee` behind a pipe.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_LineFormatter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The current standard error."""
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Send everything from now on to nowhere after a broken pipe; otherwise what logging does."""
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        return message if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {message}"


def configure_logging() -> None:
    """Show the package's messages, from level INFO up, on standard error. The command line calls it; a library user need not."""
    package = logging.getLogger("transgan")
    if not any(isinstance(handler, ConsoleHandler) for handler in package.handlers):
        package.addHandler(ConsoleHandler())
    package.setLevel(logging.INFO)
    package.propagate = False


class Progress(Protocol):
    """How long work reports where it is."""

    def advance(self, amount: int) -> None:
        """`amount` more units are done."""

    def note(self, text: str) -> None:
        """Show `text` (a loss, a rate) beside the progress from now on."""


@contextmanager
def progress(what: str, total: int, unit: str, done: int = 0) -> Iterator[Progress]:
    """Show progress of `what` over `total` units of which `done` were done before; rate and time left are of this session."""
    bar: _Bar | _Lines = _Bar(what, total, unit, done) if sys.stderr.isatty() else _Lines(what, total, unit, done)
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    def __init__(self, what: str, total: int, unit: str, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
        )
        self._unit, self._done, self._started = unit, 0, time.monotonic()
        self._task = self._bar.add_task(what, total=total, completed=done, rate="", text="")
        self._bar.start()

    def advance(self, amount: int) -> None:
        self._done += amount
        rate = self._done / max(time.monotonic() - self._started, 1e-9)
        self._bar.update(self._task, advance=amount, rate=f"{rate:,.1f} {self._unit}/s")

    def note(self, text: str) -> None:
        self._bar.update(self._task, text=text)

    def close(self) -> None:
        self._bar.stop()


class _Lines:
    def __init__(self, what: str, total: int, unit: str, done: int) -> None:
        self._what, self._total, self._unit, self._before = what, total, unit, done
        self._done, self._text = 0, ""
        self._started = self._said = time.monotonic()

    def advance(self, amount: int) -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._said >= LINE_EVERY_SECONDS:
            self._said = now
            rate = self._done / (now - self._started)
            position = self._before + self._done
            left = (self._total - position) / max(rate, 1e-9)
            logger.info(
                f"{self._what}: {position:,}/{self._total:,} {self._unit}, {rate:,.1f} {self._unit}/s, {duration(left)} left {self._text}".rstrip()
            )

    def note(self, text: str) -> None:
        self._text = text

    def close(self) -> None:
        pass


def duration(seconds: float) -> str:
    """A length of time as a person says it: 45 s, 12 min, 3.5 h, 2.1 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
