"""Finds the weights of extractors, downloads Inception's once, and verifies them. Imports no torch.

Inception's file is torch-fidelity's conversion of the TensorFlow network of 2015-12-05, with which the paper's FID was
measured. It is looked for in data/incoming (a user puts it there), then in data/archives (an earlier download), then at
`data.mirror`, then at torch-fidelity's release. torch.hub is not used: it does not verify what its cache holds.
"""

import logging
import shutil
from pathlib import Path

from transgan.config.plan import Plan
from transgan.data.sources.catalog import ARCHIVES, INCOMING
from transgan.data.sources.download import Unavailable, download
from transgan.errors import UserError
from transgan.schema import ProtocolConfig
from transgan.utils import files
from transgan.utils.console import progress

logger = logging.getLogger(__name__)

INCEPTION_NAME = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_NAME}"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
INCEPTION_BYTES = 95_628_359


def locate(plan: Plan, protocol: ProtocolConfig) -> tuple[Path, str]:
    """The protocol's weights file and its SHA-256. Inception's is downloaded if it is nowhere on this machine.

    A file that the protocol names (`weights`) is used as it is; the digest of Inception's standard file is verified.
    Raises UserError when the file is missing or damaged, or cannot be downloaded.
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
        return path, files.sha256(path)
    # Stages that run at the same time wait here for one download.
    with files.lock(ARCHIVES / f".{INCEPTION_NAME}.lock", f"weights {INCEPTION_NAME}", wait=True):
        return _locate_inception(plan.params.data.mirror)


def _locate_inception(mirror: str | None) -> tuple[Path, str]:
    for folder in (INCOMING, ARCHIVES):
        path = folder / INCEPTION_NAME
        if path.exists():
            digest = files.sha256(path)
            if digest == INCEPTION_SHA256:
                return path, digest
            if folder == INCOMING:
                raise UserError(
                    f"{path}: its SHA-256 is {digest}, not {INCEPTION_SHA256}: partial or another file; "
                    f"replace it by {INCEPTION_URL}"
                )
            logger.warning(f"{path}: damaged (its SHA-256 is {digest}, not {INCEPTION_SHA256}); downloading it again")
            path.unlink()
    return _download_inception(mirror)


def _download_inception(mirror: str | None) -> tuple[Path, str]:
    target, urls = ARCHIVES / INCEPTION_NAME, [INCEPTION_URL]
    if mirror is not None and "://" in mirror:
        urls.insert(0, f"{mirror.rstrip('/')}/{INCEPTION_NAME}")
    elif mirror is not None and (copy := Path(mirror) / INCEPTION_NAME).is_file():
        if files.sha256(copy) == INCEPTION_SHA256:
            with files.atomic(target) as temporary:
                shutil.copyfile(copy, temporary)
            return _verify(target)
        logger.warning(f"{copy}: another file (its SHA-256 is not {INCEPTION_SHA256}); skipped")
    logger.info(f"Inception weights (95 MB): downloading from {', '.join(urls)}")
    try:
        with progress(INCEPTION_NAME, INCEPTION_BYTES, "B") as bar:
            download(urls, target, f"sha256:{INCEPTION_SHA256}", bar.advance)
    except Unavailable as error:
        raise UserError(
            f"{INCEPTION_NAME}: cannot be downloaded ({error}); get it from {INCEPTION_URL} and put it into {INCOMING}/"
        ) from None
    return _verify(target)


def _verify(path: Path) -> tuple[Path, str]:
    """A new file and its SHA-256. Deletes the file and raises UserError when it is another one."""
    digest = files.sha256(path)
    if digest != INCEPTION_SHA256:
        path.unlink()
        raise UserError(
            f"{path}: received another file (its SHA-256 is {digest}, not {INCEPTION_SHA256}); "
            f"get it from {INCEPTION_URL}"
        )
    return path, digest
