"""Asks git about a folder."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from transgan.utils.escape import one_line

NO_REPOSITORY = "not a git repository"


# Part of git's message -> what to type. The first that matches counts; {folder} is quoted for a shell.
_ADVICE: tuple[tuple[str, str], ...] = (
    (r"(git config --global --add safe\.directory .+)", r"run `\1`"),
    (r"is not installed", "install git, for example with `apt-get install git`"),
    (re.escape(NO_REPOSITORY), "work in a clone of the project (`git clone`)"),
    (r"index file|bad signature", "run `rm {folder}/.git/index && git -C {folder} reset`"),
    (r"ambiguous argument 'HEAD'|any commits yet|[Nn]eeded a single revision", "run `git -C {folder} commit` first"),
    (r"[Pp]ermission denied", "run `ls -ld {folder} {folder}/.git` to see whose they are, and `chown` them"),
    (r"bad config", "run `git -C {folder} config --edit` and correct that line"),
    (r"bad object|corrupt|loose object|bad tree|missing blob|unable to read", "run `git -C {folder} fsck`"),
)


@dataclass(frozen=True)
class Answer:
    """What git printed; None if it failed, and then why, in git's own words and one line, and what to type."""

    output: str | None
    reason: str = ""
    advice: str = ""

    @property
    def explained(self) -> str:
        """The reason, then what to type."""
        return f"{self.reason}; {self.advice}"


def git(folder: Path, *arguments: str) -> Answer:
    """Run git in `folder`. Never raises because of git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return _failed(folder, arguments, "git is not installed")
    except OSError as error:
        return _failed(folder, arguments, f"git cannot be started: {error.strerror}")
    except subprocess.TimeoutExpired:
        return _failed(folder, arguments, "git does not answer")
    if done.returncode:
        return _failed(folder, arguments, done.stderr.removeprefix("fatal: ").strip() or f"git {arguments[0]} failed")
    return Answer(done.stdout.strip())


def _failed(folder: Path, arguments: tuple[str, ...], text: str) -> Answer:
    """Git's message without its own hint, which becomes the advice."""
    quoted = shlex.quote(str(folder))
    by_itself = f"run `git -C {quoted} {shlex.join(arguments)}` to see the failure by itself"
    found = ((re.search(pattern, text), what) for pattern, what in _ADVICE)
    advice = next((match.expand(what).replace("{folder}", quoted) for match, what in found if match), by_itself)
    return Answer(None, one_line(re.split(r"\n+To add an exception", text)[0]), one_line(advice))
