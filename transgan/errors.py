"""The ways a stage may end badly, each with its exit code; everything else that escapes is a bug of ours (exit 1)."""


class UserError(Exception):
    """Something the user can mend: says in one line which file or key, what is wrong and what to do. Exit code 2."""

    exit_code = 2


class Diverged(Exception):
    """Training produced non-finite values or ran away; the last good checkpoint is kept. Exit code 3."""

    exit_code = 3
