"""The key of a reference: a dataset and a protocol."""

from typing import NamedTuple


class ReferenceKey(NamedTuple):
    """Names the reference statistics of a dataset under a protocol.

    `str(key)` joins the two for file names, stage names and messages. Nothing splits it again: names may contain
    hyphens.
    """

    dataset: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.dataset}-{self.protocol}"
