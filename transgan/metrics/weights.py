"""Finds the weights of extractors, downloads the published ones once, and verifies them. Imports no torch.

Inception's file is torch-fidelity's conversion of the TensorFlow network of 2015-12-05, with which the paper's FID was
measured. VGG-16's is torchvision's, as torch-fidelity uses it. A file is looked for in data/incoming (a user puts it
there), then in data/archives (an earlier download), then at `data.mirror`, then where it is published. torch.hub is not
used: it does not verify what its cache holds.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from transgan.config.plan import Plan
from transgan.data.sources import addresses
from transgan.data.sources.catalog import ARCHIVES, INCOMING
from transgan.data.sources.download import Unavailable, download
from transgan.errors import UserError
from transgan.pipeline.freshness import check_carrier
from transgan.schema import ProtocolConfig
from transgan.utils import files, locks
from transgan.utils.console import progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """A published file of weights."""

    title: str
    name: str
    url: str
    sha256: str
    size: int  # bytes


PUBLISHED = {
    "inception-v3-compat": Published(
        "Inception",
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        95_628_359,
    ),
    # torchvision publishes the first eight digits, in the file's name. The other digits and the size are those that
    # several public projects give for this file; this project has not downloaded it.
    "vgg16": Published(
        "VGG-16",
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        553_433_881,
    ),
}


def locate(plan: Plan, protocol: ProtocolConfig) -> tuple[Path, str]:
    """The protocol's weights file and its SHA-256. A published file is downloaded if it is nowhere on this machine.

    A file that the protocol names (`weights`) is used as it is; the digest of a published file is verified. Raises
    UserError when the file is missing or damaged, or cannot be downloaded.
    """
    if protocol.weights is not None:
        path = Path(protocol.weights)
        if not path.is_file():
            raise UserError(
                f"{plan.file}: protocol weights {path}: no such file; "
                f"name a file of weights of {protocol.extractor}, or null"
            )
        return path, files.sha256(path)
    if protocol.extractor == "digits":
        path = plan.paths.classifier(next(iter(plan.classifiers)))
        if not path.exists():
            raise UserError(f"{path}: no such file; create it with `{plan.command('classifier', path.stem)}`")
        check_carrier(plan, "classifier", path.stem, path)
        return path, files.sha256(path)
    published = PUBLISHED[protocol.extractor]
    # Stages that run at the same time wait here for one download.
    with locks.lock(ARCHIVES / f".{published.name}.lock", f"weights {published.name}", wait=True):
        return _locate_published(published, plan.params.data.mirror)


def _locate_published(published: Published, mirror: str | None) -> tuple[Path, str]:
    for folder in (INCOMING, ARCHIVES):
        path = folder / published.name
        if path.exists():
            digest = files.sha256(path)
            if digest == published.sha256:
                return path, digest
            if folder == INCOMING:
                raise UserError(
                    f"{path}: its SHA-256 is {digest}, not {published.sha256}: partial or another file; "
                    f"replace it by {published.url}"
                )
            logger.warning(f"{path}: damaged (its SHA-256 is {digest}, not {published.sha256}); downloading it again")
            path.unlink()
    return _download_published(published, mirror)


def _download_published(published: Published, mirror: str | None) -> tuple[Path, str]:
    target, urls = ARCHIVES / published.name, [published.url]
    if mirror is not None and "://" in mirror:
        urls.insert(0, addresses.join(mirror, published.name))
    elif mirror is not None and (copy := Path(mirror) / published.name).is_file():
        if files.sha256(copy) == published.sha256:
            with files.atomic(target) as temporary:
                shutil.copyfile(copy, temporary)
            return _verify(target, published)
        logger.warning(f"{copy}: another file (its SHA-256 is not {published.sha256}); skipped")
    logger.info(f"{published.title} weights ({published.size // 10**6} MB): downloading from {', '.join(urls)}")
    try:
        with progress(published.name, published.size, "B") as bar:
            download(urls, target, f"sha256:{published.sha256}", bar.advance, published.size)
    except Unavailable as error:
        raise UserError(
            f"{published.name}: cannot be downloaded ({error}); get it from {published.url} and put it into {INCOMING}/"
        ) from None
    return _verify(target, published)


def _verify(path: Path, published: Published) -> tuple[Path, str]:
    """A new file and its SHA-256. Deletes the file and raises UserError when it is another one."""
    digest = files.sha256(path)
    if digest != published.sha256:
        path.unlink()
        raise UserError(
            f"{path}: received another file (its SHA-256 is {digest}, not {published.sha256}); "
            f"get it from {published.url}"
        )
    return path, digest
