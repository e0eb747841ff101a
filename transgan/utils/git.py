"""Asks git about a folder."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from transgan.utils.escape import one_line

NO_REPOSITORY = "not a git repository"

# Where git says the same although .git is there.
MOVED, DAMAGED = "points to a folder that is not there", "is there, but git cannot read it"

# Part of git's message -> what to type. The first that matches counts; {folder} is quoted for a shell.
_ADVICE: tuple[tuple[str, str], ...] = (
    (r"(git config --global --add safe\.directory .+)", r"run `\1`"),
    (r"is not installed", "install git, for example with `apt-get install git`"),
    (re.escape(MOVED), "run `git worktree repair {folder}` in the repository that it belongs to"),
    (
        re.escape(DAMAGED),
        "compare {folder}/.git with that of a fresh clone (HEAD, config, objects and refs must be there), or clone "
        "again and copy your files",
    ),
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
        text = done.stderr.removeprefix("fatal: ").strip()
        if NO_REPOSITORY in text and (broken := _broken(folder)):
            return _failed(broken[0], arguments, broken[1])
        return _failed(folder, arguments, text or f"git {arguments[0]} failed")
    return Answer(done.stdout.strip())


def _broken(folder: Path) -> tuple[Path, str] | None:
    """The folder at or above `folder` whose .git is there although git finds no repository, and what is wrong."""
    if "GIT_DIR" in os.environ:  # git then looks nowhere else
        return None
    ceilings = os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)
    for parent in (folder.absolute(), *folder.absolute().parents):
        if str(parent) in ceilings:
            return None
        entry = parent / ".git"
        if entry.is_file():
            return parent, f"{entry} {MOVED}"
        if entry.is_dir() and any(entry.iterdir()):
            return parent, f"{entry} {DAMAGED}"
    return None


def _failed(folder: Path, arguments: tuple[str, ...], text: str) -> Answer:
    """Git's message without its own hint, which becomes the advice."""
    quoted = shlex.quote(str(folder))
    by_itself = f"run `git -C {quoted} {shlex.join(arguments)}` to see the failure by itself"
    found = ((re.search(pattern, text), what) for pattern, what in _ADVICE)
    advice = next((match.expand(what).replace("{folder}", quoted) for match, what in found if match), by_itself)
    return Answer(None, one_line(re.split(r"\n+To add an exception", text)[0]), one_line(advice))
