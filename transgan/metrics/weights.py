"""Extractor weights: where they lie, and the one download of Inception, checked before anything reads it. Imports no torch.

Looked for in data/incoming (placed by a person), then data/archives (downloaded before), then `data.mirror`, then torch-fidelity's release.
Neither torch.hub's folder nor its download is used: that one does not check what it got.
"""

import io
import logging
import shutil
from pathlib import Path

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.schema import ProtocolConfig
from transgan.utils import files
from transgan.utils.console import progress

logger = logging.getLogger(__name__)

INCEPTION_NAME = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_NAME}"
INCEPTION_DIGEST = (
    "6726825d"  # the file's name carries the first digits of its SHA-256, as torch.hub's convention has it
)
INCEPTION_BYTES = 95_700_000  # about; for the progress bar only
INCOMING, ARCHIVES = Path("data/incoming"), Path("data/archives")


def locate(plan: Plan, protocol: ProtocolConfig) -> tuple[Path, str]:
    """The protocol's weights file and its SHA-256, downloaded first where it must be.

    A file that the protocol names (`weights`) is taken as it is; the digest of Inception's own is checked. Raises UserError when it is missing,
    damaged, or cannot be had without network.
    """
    if protocol.weights is not None:
        path = Path(protocol.weights)
        if not path.is_file():
            raise UserError(
                f"{plan.file}: protocol weights {path}: not there; name a file of weights of {protocol.extractor}, or null"
            )
        return path, files.sha256(path)
    if protocol.extractor == "digits":
        path = plan.paths.classifier(next(iter(plan.classifiers)))
        if not path.exists():
            raise UserError(f"{path}: not there; make it with `{plan.command('classifier', path.stem)}`")
        return path, files.sha256(path)
    with files.lock(
        ARCHIVES / f".{INCEPTION_NAME}.lock", f"weights {INCEPTION_NAME}", wait=True
    ):  # stages that run side by side all come here
        return _inception(plan.params.data.mirror)


def inception_bytes(path: Path) -> io.BytesIO:
    """The state dict in `path` as bytes that are safe to unpickle: read with weights_only=True and written anew.

    torch-fidelity itself reads with weights_only=False. Raises UserError when the file is not a plain dict of tensors.
    """
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
            raise UserError(
                f"{path}: is no state dict of tensors; name a file of Inception weights in torch-fidelity's format"
            )
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: truncated or no weights file ({first}); delete it and get it again") from error
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def _inception(mirror: str | None) -> tuple[Path, str]:
    for folder in (INCOMING, ARCHIVES):
        path = folder / INCEPTION_NAME
        if path.exists():
            digest = files.sha256(path)
            if digest.startswith(INCEPTION_DIGEST):
                return path, digest
            if folder == INCOMING:
                raise UserError(
                    f"{path}: its SHA-256 begins with {digest[:8]}, not {INCEPTION_DIGEST}: partial or another file; replace it"
                )
            logger.warning(
                f"{path}: damaged (SHA-256 begins with {digest[:8]}, not {INCEPTION_DIGEST}); downloaded again"
            )
            path.unlink()
    return _fetched(mirror)


def _fetched(mirror: str | None) -> tuple[Path, str]:
    from transgan.data.sources.download import Unavailable, download

    target, urls = ARCHIVES / INCEPTION_NAME, [INCEPTION_URL]
    if mirror is not None and "://" in mirror:
        urls.insert(0, f"{mirror.rstrip('/')}/{INCEPTION_NAME}")
    elif mirror is not None and (copy := Path(mirror) / INCEPTION_NAME).is_file():
        if files.sha256(copy).startswith(INCEPTION_DIGEST):
            with files.atomic(target) as temporary:
                shutil.copyfile(copy, temporary)
            return _checked(target)
        logger.warning(f"{copy}: is another file (its SHA-256 does not begin with {INCEPTION_DIGEST}); passed over")
    logger.info(f"weights of Inception (95 MB): from {', '.join(urls)}")
    try:
        with progress(INCEPTION_NAME, INCEPTION_BYTES, "B") as bar:
            download(urls, target, f"sha256:{INCEPTION_DIGEST}", bar.advance)
    except Unavailable as error:
        raise UserError(
            f"{INCEPTION_NAME}: cannot be downloaded ({error}); get it from {INCEPTION_URL} and put it into {INCOMING}/"
        ) from None
    return _checked(target)


def _checked(path: Path) -> tuple[Path, str]:
    """The file just obtained and its digest; another file is removed and refused."""
    digest = files.sha256(path)
    if not digest.startswith(INCEPTION_DIGEST):
        path.unlink()
        raise UserError(
            f"{path}: got another file (SHA-256 begins with {digest[:8]}, not {INCEPTION_DIGEST}); get it from {INCEPTION_URL}"
        )
    return path, digest
