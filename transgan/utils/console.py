"""What the user sees while work is under way: log messages on standard error, and progress.

Modules log to `logging.getLogger(__name__)`: INFO for what happens, WARNING for what the user should look at. The
command line calls `configure_logging`. In a notebook or another program it is not called, so only warnings appear,
which is the default of Python's logging.
"""

import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from transgan.utils.escape import terminal
from transgan.utils.secrets import mask_values, write_exactly
from transgan.utils.units import duration

if TYPE_CHECKING:
    from rich.console import Console

LINE_EVERY_SECONDS = 60.0

logger = logging.getLogger(__name__)


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes each record as one line to the current standard error.

    A closed pipe does not stop the work, for example after Ctrl-C has ended the `tee` that read it.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_LineFormatter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The current sys.stderr, so that a redirection made later has an effect."""
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """After a broken pipe, discard all later output; handle other errors as logging does."""
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = terminal(super().format(record))
        return message if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {message}"


def configure_logging() -> None:
    """Show the package's messages on standard error: INFO and above.

    From now on, a character that standard output or error cannot encode is printed as an escape: nothing that was
    computed is lost because a terminal cannot show it.

    Of several processes of one run, only the first shows them; the others show errors only.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    package = logging.getLogger("transgan")
    if not any(isinstance(handler, ConsoleHandler) for handler in package.handlers):
        package.addHandler(ConsoleHandler())
    # RANK is set by torchrun, and by transgan.training.distributed.launch for the processes that it starts.
    package.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.ERROR)
    package.propagate = False


def say(text: str) -> None:
    """Print `text`, the result of a tool, on standard output."""
    print(terminal(text))


def say_json(value: Any) -> None:
    """Print `value` on standard output as JSON, with credentials masked in its text and nowhere else.

    What masks the stream would also change a key or a number that equals a short password.
    """
    write_exactly(sys.stdout, json.dumps(mask_values(value), indent=1) + "\n")


def table_console(width: int = 100, stderr: bool = False) -> "Console":
    """A rich console whose text is text: brackets, emoji codes and control characters have no effect.

    `width` in characters applies where the output is not a terminal and COLUMNS is not set.
    """
    # Imported here: rich takes longer to import than a finished stage takes to find that it is finished.
    from rich.console import Console
    from rich.text import Text

    class PlainConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(terminal(text), **options)

    console = PlainConsole(markup=False, emoji=False, highlight=False, stderr=stderr)
    if not console.is_terminal:
        columns = os.environ.get("COLUMNS", "")
        console.width = int(columns) if columns.isdecimal() and int(columns) else width
    return console


def print_wrapped(console: "Console", text: str) -> None:
    """Print a long line: wrapped between words on a terminal, and as one line in a file or a pipe."""
    console.print(text, soft_wrap=not console.is_terminal)


class Progress(Protocol):
    """How a long computation reports its position."""

    def advance(self, amount: int) -> None:
        """`amount` more units are done."""

    def note(self, text: str) -> None:
        """Show `text` (a loss, a rate) beside the progress from now on."""


@contextmanager
def progress(what: str, total: int, unit: str, done: int = 0) -> Iterator[Progress]:
    """Show the progress of `what` over `total` units: a bar on a terminal, a log line a minute elsewhere.

    `done` units were finished before this call; the rate and the time left are computed from the others.
    """
    bar: _Bar | _Lines = _Bar(what, total, unit, done) if sys.stderr.isatty() else _Lines(what, total, unit, done)
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    def __init__(self, what: str, total: int, unit: str, done: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=table_console(stderr=True),
        )
        self._unit, self._done, self._started = unit, 0, time.monotonic()
        self._task = self._bar.add_task(terminal(what), total=total, completed=done, rate="", text="")
        self._bar.start()

    def advance(self, amount: int) -> None:
        self._done += amount
        rate = self._done / max(time.monotonic() - self._started, 1e-9)
        self._bar.update(self._task, advance=amount, rate=f"{rate:,.1f} {self._unit}/s")

    def note(self, text: str) -> None:
        self._bar.update(self._task, text=terminal(text))

    def close(self) -> None:
        self._bar.stop()


class _Lines:
    def __init__(self, what: str, total: int, unit: str, done: int) -> None:
        self._what, self._total, self._unit, self._before = what, total, unit, done
        self._done, self._text = 0, ""
        self._started = self._logged = time.monotonic()

    def advance(self, amount: int) -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._logged >= LINE_EVERY_SECONDS:
            self._logged = now
            rate = self._done / (now - self._started)
            position = self._before + self._done
            left = duration((self._total - position) / max(rate, 1e-9))
            line = f"{self._what}: {position:,}/{self._total:,} {self._unit}, {rate:,.1f} {self._unit}/s, {left} left"
            logger.info(f"{line} {self._text}".rstrip())

    def note(self, text: str) -> None:
        self._text = text

    def close(self) -> None:
        pass
