"""How a process of this project ends: at most one line on standard error, and an exit code that says why.

0 done, 2 to be fixed by the user, 3 training diverged, 130 Ctrl-C, 143 SIGTERM, 129 a closed terminal, 1 a bug. Imports
nothing that takes time, so that it is in force before libraries are loaded.
"""

import contextlib
import errno
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from transgan.errors import Diverged, UserError
from transgan.utils import extras
from transgan.utils.escape import one_line

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Signals within this time are one request: Slurm and torchrun signal every process, and its parent forwards the signal.
SAME_REQUEST_SECONDS = 5.0

# Errors of the machine or of a path that a user gave, wherever they arise. Others are bugs, and show a traceback.
_ERRORS_OF_FILES = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
    errno.ESTALE,
}


class Stopped(SystemExit):
    """A signal ended the work, which has said so itself. Exit code 128 + the signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class Interrupted(Stopped):
    """A signal ended the work wherever it was. It is no KeyboardInterrupt, which libraries turn into results."""


@contextmanager
def one_line_exit() -> Iterator[None]:
    """Turn expected errors and signals into SystemExit with one line, and let bugs pass.

    SIGINT, SIGTERM and SIGHUP raise Interrupted inside, so that temporary files are removed. A signal that was ignored
    at the start (`nohup`, a shell's background job) stays ignored.
    """
    with _raised_signals():
        try:
            yield
        except (UserError, Diverged) as error:
            fail(str(error), error.exit_code)
        except Interrupted as stop:
            _stop(stop.signum)
        except KeyboardInterrupt:
            _stop(signal.SIGINT)
        except ModuleNotFoundError as error:
            if (advice := extras.explained(error)) is None:
                raise
            fail(advice, UserError.exit_code)
        except MemoryError as error:
            _out_of_memory(error)
        except RuntimeError as error:
            if not re.search(r"can't allocate memory|out of memory", str(error)):
                raise
            _out_of_memory(error)
        except OSError as error:
            if error.errno not in _ERRORS_OF_FILES or error.filename is None:
                raise
            _discard_unwritable_output()
            fail(f"{error.filename}: {error.strerror}; fix that, then run the same command again", UserError.exit_code)


def fail(message: str, code: int) -> NoReturn:
    """Exit with `code` after one line on standard error."""
    print(f"transgan: {one_line(message)}", file=sys.stderr)
    sys.exit(code)


def _out_of_memory(error: Exception) -> NoReturn:
    reason = one_line(str(error)).removeprefix("[enforce fail at alloc_cpu.cpp] ")[:200] or "the memory is used up"
    fail(
        f"out of memory ({reason}); `transgan plan` shows what each run needs: lower its micro_batch, batch or threads",
        UserError.exit_code,
    )


def _discard_unwritable_output() -> None:
    """Standard output that cannot be written, as on a full disk: Python would try once more at its end, and say so."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop(signum: int) -> NoReturn:
    """Exit because of a signal. Of the processes of a run, the first says so."""
    if os.environ.get("RANK", "0") == "0":
        print(f"transgan: stopped by {signal.Signals(signum).name}", file=sys.stderr)
    raise Stopped(signum)


@contextmanager
def _raised_signals() -> Iterator[None]:
    """Raise Interrupted on the first signal; a later one that is no part of the same request ends the process at once.

    The handlers stay when a signal has ended the work: another one while Python exits shall print no traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
    before = {signum: handler for signum, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    received_at = 0.0

    def interrupt(signum: int, _: FrameType | None) -> None:
        nonlocal received_at
        if not received_at:
            received_at = time.monotonic()
            raise Interrupted(signum)
        if time.monotonic() - received_at > SAME_REQUEST_SECONDS:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

    for signum in before:
        signal.signal(signum, interrupt)
    try:
        yield
    except Stopped:
        received_at = received_at or time.monotonic()
        raise
    except BaseException:
        _restore(before)
        raise
    else:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
