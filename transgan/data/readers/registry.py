"""Opens the reader of a dataset's source."""

from pathlib import Path

from transgan.data.image_arrays import is_array_file
from transgan.data.readers.arrays import ArrayReader
from transgan.data.readers.base import Reader
from transgan.data.readers.celeba import CelebaReader
from transgan.data.readers.celebahq import CelebaHqReader
from transgan.data.readers.cifar10 import Cifar10Reader
from transgan.data.readers.digits import DigitsReader
from transgan.data.readers.folder import FolderReader
from transgan.data.readers.stl10 import Stl10Reader
from transgan.data.sources import catalog
from transgan.errors import UserError
from transgan.schema import DatasetConfig


def open_reader(config: DatasetConfig, scratch: Path) -> Reader:
    """Open the reader of a dataset's source. Readers that must unpack files do so in the folder `scratch`.

    Raises UserError when the source is missing, damaged or hostile.
    """
    if config.source == "digits":
        return DigitsReader(config)
    if config.source == "folder":
        path = Path(str(config.path))
        return ArrayReader(config, path) if is_array_file(path) else FolderReader(config, path)
    paths = catalog.require_files(config.source, config.crop)
    first = next(iter(paths.values()))
    match config.source:
        case "cifar10":
            return Cifar10Reader(config, first)
        case "stl10":
            return Stl10Reader(config, first)
        case "celeba":
            return CelebaReader(config, paths)
        case "celebahq":
            return CelebaHqReader(config, first)
        case "lsun":
            return _lsun_reader(config, first, scratch)


def _lsun_reader(config: DatasetConfig, path: Path, scratch: Path) -> Reader:
    """LSUN alone needs the package lmdb, which a machine that only trains may lack."""
    try:
        from transgan.data.readers.lsun import LsunReader
    except ModuleNotFoundError as error:
        raise UserError(f"source lsun: {error}; install it: pip install {error.name}") from error
    return LsunReader(config, path, scratch)
