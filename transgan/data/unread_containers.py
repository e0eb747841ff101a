"""Files that hold images but are not read: databases, tables and archives of other kinds, and what to do with each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

KINDS_READ = "a folder, a .zip, a .tar (plain, .gz, .bz2 or .xz), an .npz or an .npy of images"

_EXPORT = "write its images as files, one PNG each"
_UNPACK = "unpack it"
_LMDB = ("an LMDB database (only LSUN's is read, with `source: lsun`)", _EXPORT)
_PARQUET = ("a Parquet table, as Hugging Face keeps datasets", _EXPORT)
_PYTORCH = ("a file of PyTorch or of Python objects", "save its images with numpy.savez")
_BY_SUFFIX = {
    **dict.fromkeys((".mdb", ".lmdb"), _LMDB),
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".he5"), ("an HDF5 file", _EXPORT)),
    ".parquet": _PARQUET,
    **dict.fromkeys((".arrow", ".feather"), ("an Arrow table, as Hugging Face keeps datasets", _EXPORT)),
    **dict.fromkeys((".tfrecord", ".tfrecords"), ("a TFRecord file of TensorFlow", _EXPORT)),
    **dict.fromkeys((".beton",), ("a file of FFCV", _EXPORT)),
    ".mat": ("a file of MATLAB", "save its images with numpy.savez"),
    **dict.fromkeys((".pt", ".pth", ".pkl", ".pickle"), _PYTORCH),
    **dict.fromkeys((".rar", ".7z", ".zip", ".tar", ".zst", ".lz4", ".gz", ".bz2", ".xz"), ("an archive", _UNPACK)),
}
_BY_BEGINNING = (
    (b"\x89HDF\r\n\x1a\n", _BY_SUFFIX[".hdf5"]),
    (b"PAR1", _PARQUET),
    (b"ARROW1", _BY_SUFFIX[".arrow"]),
)


def describe_unread(name: str, beginning: bytes = b"") -> tuple[str, str] | None:
    """What a file that is not read is, and what to do with it; None if it is of no known kind."""
    known = next((kind for start, kind in _BY_BEGINNING if beginning.startswith(start)), None)
    return known or _BY_SUFFIX.get(PurePosixPath(name.lower()).suffix)


def unread_in(names: Sequence[str]) -> str:
    """The most common kind of such files among `names`, with their number and what to do; empty if there are none."""
    kinds = Counter(kind for name in names if (kind := describe_unread(name)) is not None)
    if not kinds:
        return ""
    [((what, advice), count)] = kinds.most_common(1)
    return f"{count:,} of them {'is' if count == 1 else 'are each'} {what}, which is not read: {advice}"
