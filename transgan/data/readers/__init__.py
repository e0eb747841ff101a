"""Readers: one module per source, each of which streams the images of its published files without unpacking them."""

from transgan.data.readers.base import Entry, Reader
from transgan.data.readers.registry import open_reader

__all__ = ["Entry", "Reader", "open_reader"]
