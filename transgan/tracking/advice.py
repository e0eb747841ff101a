"""What to type when MLflow cannot be used: a failure of a library, with the command that fixes it."""

import re

from transgan.errors import UserError
from transgan.tracking.uri import database_file, tracking_uri
from transgan.utils.escape import one_line
from transgan.utils.secrets import mask

LONGEST = 200  # characters of a library's message

# Part of a library's message -> what to type. The first that matches counts; {uri} is MLFLOW_TRACKING_URI or the
# default, {file} the database's file. Where the address contains a password, the reader puts it back.
_ADVICE: tuple[tuple[str, str], ...] = (
    (r"out-of-date database schema|Can't locate revision", "run `mlflow db upgrade '{uri}'`"),
    (r"No module named '(?:psycopg2|psycopg)'", "run `pip install psycopg2-binary`"),
    (r"No module named '(?:MySQLdb|pymysql)'", "run `pip install pymysql` and write mysql+pymysql:// in the address"),
    (r"No module named '?mlflow", "run `pip install 'transgan[tracking]'`"),
    (r"No module named '?([\w.]+)", r"run `pip install \1`"),
    (r"not a database|malformed|disk image|no such table|no such column", "run `mv '{file}' '{file}.damaged'`"),
    (r"database is locked|has held", "end the process that `fuser -v '{file}'` shows"),
    (r"\b403\b|Forbidden|PERMISSION_DENIED", "ask the administrator of {uri} for the permission EDIT"),
    (r"readonly database|unable to open database|[Pp]ermission denied", "run `chmod u+rw '{file}'`"),
    (r"No space left|disk is full|database or disk is full", "run `df -h .` and free disk space"),
    (r"\b401\b|Unauthorized|not authenticated|authentication failed", "export MLFLOW_TRACKING_USERNAME and "
     "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"),
    (r"certificate|SSLError", "export MLFLOW_TRACKING_SERVER_CERT_PATH=FILE with the server's certificate"),
    (r"refused|timed out|Max retries|resolve|unreachable|RemoteDisconnected|could not connect|\b50[0-9]\b",
     "start the server of {uri}, or run `unset MLFLOW_TRACKING_URI` for the database in this folder"),
    (r"unsupported URI|UnsupportedModelRegistry|Could not parse|not a valid|Invalid URL",
     "correct MLFLOW_TRACKING_URI, or run `unset MLFLOW_TRACKING_URI`"),
)  # fmt: skip


def reason(error: BaseException) -> str:
    """An exception's type and message in one line, without credentials."""
    text = one_line(str(error))
    return f"{type(error).__name__}: {text[:LONGEST]}" if text else type(error).__name__


def advice(error: BaseException) -> str:
    """What to type about a failure of MLflow; the way to go on without it where nothing better is known."""
    uri = tracking_uri()
    text = f"{type(error).__name__}: {error}"
    for pattern, what in _ADVICE:
        if (found := re.search(pattern, text)) and ("{file}" not in what or database_file(uri)):
            return mask(found.expand(what).format(uri=uri, file=database_file(uri)))
    return f"run `mlflow experiments search` with MLFLOW_TRACKING_URI={mask(uri)} to see the failure by itself"


def explained(error: BaseException) -> str:
    """`reason` and `advice` in one line; the errors of this project say themselves what to do."""
    return one_line(str(error)) if isinstance(error, UserError) else f"{reason(error)}; {advice(error)}"
