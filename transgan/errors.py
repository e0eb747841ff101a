"""The expected errors of a stage, each with its exit code. Any other exception is a bug in this project (exit code 1)."""


class UserError(Exception):
    """An error that the user can fix. The message is one line: which file or key, what is wrong, and what to do. Exit code 2."""

    exit_code = 2


class Diverged(Exception):
    """Training diverged or produced non-finite values; the last good checkpoint is kept. Exit code 3."""

    exit_code = 3
