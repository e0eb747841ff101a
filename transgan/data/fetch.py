"""The stage fetch: what a dataset is made from is on this machine, and source.json says exactly what it is."""

import hashlib
from pathlib import Path

from transgan import files
from transgan.data.containers import Tree, open_container
from transgan.data.readers import digits
from transgan.errors import UserError
from transgan.plan import Plan
from transgan.schema import DatasetConfig

SOURCE = "source.json"


def fetch(plan: Plan, dataset: str) -> None:
    """See to it that the source of `dataset` is here, and write source.json: names, sizes and digests, and one digest of them all.

    Raises UserError when it is missing and cannot be had, or is not what its publisher says it is.
    """
    config = plan.dataset(dataset)
    found = _found(config)
    digest = hashlib.sha256(files.dumps(found).encode()).hexdigest()
    files.write_json(plan.paths.data(dataset) / SOURCE, {"source": config.source, "files": found, "digest": digest})


def _found(config: DatasetConfig) -> list[dict[str, object]]:
    if config.source == "digits":
        size, sha256 = digits.digest()
        return [{"name": "scikit-learn digits", "size": size, "sha256": sha256}]
    if config.source == "folder":
        return [_user_source(Path(str(config.path)))]
    raise UserError(f"{config.source}: not yet")


def _user_source(path: Path) -> dict[str, object]:
    """Size and digest of a user's folder (over sorted names, sizes and contents) or archive."""
    container = open_container(path)
    container.close()
    if not container.names:
        raise UserError(f"{path}: no pictures in it; correct `path` of the dataset in params.yaml")
    if not isinstance(container, Tree):
        return {"name": path.name, "size": path.stat().st_size, "sha256": files.sha256(path)}
    tree = hashlib.sha256()
    for name, size in zip(container.names, container.sizes, strict=True):
        tree.update(f"{name}\0{size}\0{_content_digest(path / name)}\n".encode())
    return {"name": f"{path.name}/", "size": sum(container.sizes), "sha256": tree.hexdigest(), "count": len(container.names)}


def _content_digest(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend its permissions or remove it") from error
