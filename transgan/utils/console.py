"""What the user sees while work goes on: lines on standard error, and progress as a bar on a terminal or a line a minute elsewhere."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LINE_EVERY_SECONDS = 60.0


def say(message: str) -> None:
    """Print one line of news on standard error. Where nobody reads it any more (a `tee` that Ctrl-C ended), work goes on without."""
    try:
        print(message, file=sys.stderr, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


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
            say(
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
