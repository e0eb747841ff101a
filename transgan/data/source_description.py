"""What source.json says of the files of a source: name, size and SHA-256 of each, and of a folder also the count."""

import hashlib
from pathlib import Path

from transgan.data.archives.containers import Folder, open_container
from transgan.data.readers import digits
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

    Raises UserError when one is missing, cannot be read, or is a damaged or empty archive.
    """
    if config.source == "digits":
        size, sha256 = digits.digest()
        return [{"name": "scikit-learn digits", "size": size, "sha256": sha256}]
    if config.source == "folder":
        path = Path(str(config.path))
        return [describe_file(path) if path.suffix == ".npz" and path.exists() else describe_folder_or_archive(path)]
    paths = require_files(config.source, config.crop)
    return [describe_file(paths[file.name]) for file in CATALOG[config.source].files_for(config.crop)]


def describe_file(path: Path, sha256: str | None = None) -> Description:
    """Describe a published file, whose digest may be known already, or a folder that a user placed instead of it."""
    if path.is_dir():
        return describe_folder_or_archive(path)
    return {"name": path.name, "size": path.stat().st_size, "sha256": sha256 or files.sha256(path)}


def describe_folder_or_archive(path: Path) -> Description:
    """Describe what a user placed: an archive by its bytes, a folder by its sorted names, sizes and contents."""
    container = open_container(path)
    container.close()
    if not container.names:
        raise UserError(f"{path}: no images in it; correct `path` of the dataset in params.yaml")
    if not isinstance(container, Folder):
        return {"name": path.name, "size": path.stat().st_size, "sha256": files.sha256(path)}
    digest = hashlib.sha256()
    for name, size in zip(container.names, container.sizes, strict=True):
        digest.update(files.to_bytes(f"{name}\0{size}\0{_content_digest(path / name)}\n"))
    return {
        "name": f"{path.name}/",
        "size": sum(container.sizes),
        "sha256": digest.hexdigest(),
        "count": len(container.names),
    }


def _content_digest(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); fix its permissions or remove it") from error
