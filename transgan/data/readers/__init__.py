"""Readers: one per format, each streaming the pictures of a source without unpacking it to disk."""

from transgan.data.readers.base import Entry, Reader
from transgan.data.readers.registry import open_reader

__all__ = ["Entry", "Reader", "open_reader"]
