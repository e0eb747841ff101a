"""Asks git about a folder."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from transgan.utils.escape import one_line

NO_REPOSITORY = "not a git repository"


@dataclass(frozen=True)
class Answer:
    """What git printed; None if it failed, and then why, in git's own words and one line."""

    output: str | None
    reason: str = ""


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
        return Answer(None, "git is not installed")
    except OSError as error:
        return Answer(None, f"git cannot be started: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Answer(None, "git does not answer")
    if done.returncode:
        return Answer(None, one_line(done.stderr.removeprefix("fatal: ")) or f"git {arguments[0]} failed")
    return Answer(done.stdout.strip())
