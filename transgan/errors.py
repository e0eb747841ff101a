"""The expected errors of a stage, with their exit codes. Any other exception is a bug (exit code 1)."""


class UserError(Exception):
    """An error that the user can fix. Exit code 2.

    The message is one line: which file or key, what is wrong, and what to do.
    """

    exit_code = 2


class Diverged(Exception):
    """Training diverged or produced non-finite values; the last good checkpoint is kept. Exit code 3."""

    exit_code = 3
