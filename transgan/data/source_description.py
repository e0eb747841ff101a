"""What source.json says of the files of a source: name, size and SHA-256 of each, and of a folder also the count."""

import hashlib
from pathlib import Path

from transgan.data.archives.containers import Folder, open_container
from transgan.data.image_arrays import is_array_file
from transgan.data.image_files import content_digests
from transgan.data.readers import digits
from transgan.data.readers.folder import FolderReader
from transgan.data.sources.catalog import CATALOG, require_files
from transgan.errors import UserError
from transgan.schema import DatasetConfig
from transgan.utils import files

Description = dict[str, object]


def source_digest(described: list[Description]) -> str:
    """Return the digest of a source: that of its description."""
    return hashlib.sha256(files.dumps(described).encode()).hexdigest()


def describe(config: DatasetConfig) -> list[Description]:
    """Read the files of a dataset's source and describe them.

    Where labels were found in an unusual place, the description says so: the same files give another pack than where
    they were not found. Raises UserError when one is missing, is a damaged archive, has no images or, unless
    `on_error: skip`, cannot be read.
    """
    if config.source == "digits":
        size, sha256 = digits.digest()
        return [{"name": "scikit-learn digits", "size": size, "sha256": sha256}]
    skip = config.on_error == "skip"
    if config.source == "folder":
        path = Path(str(config.path))
        if is_array_file(path) and path.exists():
            return [describe_file(path)]
        with FolderReader(config, path) as reader:
            layout = {"layout": reader.layout} if reader.layout else {}
        return [describe_folder_or_archive(path, skip) | layout]
    paths = require_files(config.source, config.crop)
    return [describe_file(paths[file.name], skip=skip) for file in CATALOG[config.source].files_for(config.crop)]


def describe_file(path: Path, sha256: str | None = None, skip: bool = False) -> Description:
    """Describe a published file, whose digest may be known already, or a folder that a user placed instead of it."""
    if path.is_dir():
        return describe_folder_or_archive(path, skip)
    return {"name": path.name, "size": path.stat().st_size, "sha256": sha256 or files.sha256(path)}


def describe_folder_or_archive(path: Path, skip: bool = False) -> Description:
    """Describe what a user placed: an archive by its bytes, a folder by its sorted names, sizes and contents.

    With `skip`, files of a folder may be unreadable.
    """
    container = open_container(path)
    container.close()
    if not isinstance(container, Folder):
        return {"name": path.name, "size": path.stat().st_size, "sha256": files.sha256(path)}
    digests, failures = content_digests(container)
    if failures and not skip:
        raise UserError(
            f"{failures[0]}{f' (and {len(failures) - 1:,} more)' if len(failures) > 1 else ''};"
            " restore it, fix its permissions or remove it, or set `on_error: skip`"
        )
    lines = zip(container.names, container.sizes, digests, strict=True)
    listing = "".join(f"{name}\0{size}\0{digest}\n" for name, size, digest in lines)
    return {
        "name": f"{path.name}/",
        "size": sum(container.sizes),
        "sha256": hashlib.sha256(files.to_bytes(listing)).hexdigest(),
        "count": len(container.names),
    }
