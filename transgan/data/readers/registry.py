"""Which reader reads which source."""

from pathlib import Path

from transgan.data.readers.base import Reader
from transgan.data.readers.digits import DigitsReader
from transgan.data.readers.folder import FolderReader
from transgan.schema import DatasetConfig


def open_reader(config: DatasetConfig) -> Reader:
    """The reader of a dataset's source, opened. Raises UserError when the source is missing, damaged or hostile."""
    match config.source:
        case "digits":
            return DigitsReader(config)
        case "folder":
            return FolderReader(config, Path(str(config.path)))
    raise NotImplementedError(config.source)
