"""Addresses of downloads, which may contain credentials: https://user:password@host/folder?token=..."""

import base64
import urllib.request
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from transgan.schema.params import ADDRESS_SCHEMES

HEADERS = {"Accept-Encoding": "identity", "User-Agent": "transgan"}


def join(folder: str, name: str) -> str:
    """The address of a file in a folder: the name becomes the path's last part, before a query such as a signature."""
    parts = urlsplit(folder)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}"))


def request(url: str) -> urllib.request.Request:
    """A request for `url`. User and password become a header, which is not sent to where a server redirects to.

    Raises ValueError for an address that is none, or of a kind that is not read.
    """
    parts = urlsplit(url)
    if parts.scheme not in ADDRESS_SCHEMES:
        raise ValueError(f"{parts.scheme}:// is not read, only {', '.join(ADDRESS_SCHEMES)}")
    user, at, where = parts.netloc.rpartition("@")
    made = urllib.request.Request(urlunsplit(parts._replace(netloc=where)), headers=HEADERS)
    if at:
        name, _, password = user.partition(":")
        encoded = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
        made.add_unredirected_header("Authorization", f"Basic {encoded}")
    return made


def host(url: str) -> str:
    """Host and port of an address, for messages; the whole address where it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:  # such as one with half a pair of brackets
        return url
