"""Whether declared files are still what their stages computed, by the digests that the state folders record.

A file is checked where a number or a plot is made of it. A file without a record is accepted: `dvc pull` and copying
bring results without their state folders. What came of other inputs under one configuration has a record of its own.
"""

import hashlib
import logging
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transgan.config.paths import StageName, StageSubject
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey
from transgan.errors import UserError
from transgan.pipeline.stages import CLASSIFIER, PROVENANCE, SCORES, STATISTICS, Stage
from transgan.pipeline.workspace import FINISHED, OUTPUTS, SIZES, SMALL_BYTES
from transgan.utils import files

logger = logging.getLogger(__name__)

_DVC_LOCK = Path("dvc.lock")

# Names in the state folder of outputs whose declared names differ.
_NAMES: dict[StageName, str] = {"reference": STATISTICS, "classifier": CLASSIFIER, "score": SCORES}


def check_unchanged(plan: Plan, verb: StageName, subject: StageSubject, path: Path, fingerprint: str) -> None:
    """Raise UserError if `path`, an output of a stage under `fingerprint`, is not what that stage computed here.

    `path` must exist. The message says whether it is another machine's, as far as that is known, and names the commands
    that restore this machine's own and that accept the other.
    """
    name = _NAMES.get(verb, path.name)
    folder = plan.paths.workspace(verb, subject, fingerprint)
    records = dict(_records(folder))
    known = {record[OUTPUTS].get(name) for record in records.values()} - {None}
    if not known or files.sha256(path) in known:
        return
    command = plan.command(verb, *(subject if isinstance(subject, ReferenceKey) else (str(subject),)))
    aside = " && ".join(shlex.join(("mv", str(each), str(each.with_name(f"own-{each.name}")))) for each in records)
    if _recorded_by_dvc(path):
        what = "is another machine's result of the same configuration, whole as dvc.lock records it"
    else:
        what = "was changed or damaged after it was computed, or is another machine's result"
    raise UserError(
        f"{path}: {what}; its SHA-256 is not that of this machine's own in {folder / FINISHED}; "
        f"run `{command}` to restore this machine's own, or `{aside}` to accept it as it is"
    )


def _recorded_by_dvc(path: Path) -> bool:
    """Whether dvc.lock records `path` with the content that it has, as after `dvc pull`."""
    entry = re.compile(
        rf"^ *- path: {re.escape(str(path))}\n +hash: md5\n +md5: (?P<md5>[0-9a-f]{{32}})$", re.MULTILINE
    )
    try:
        recorded = {found["md5"] for found in entry.finditer(_DVC_LOCK.read_text(encoding="utf-8"))}
        with path.open("rb") as file:
            return bool(recorded) and hashlib.file_digest(file, "md5").hexdigest() in recorded
    except (OSError, ValueError):
        return False


def looks_unchanged(plan: Plan, stage: Stage) -> bool:
    """Whether the outputs of a stage, which must exist, have the recorded sizes and, where small, the digests."""
    folder = plan.paths.workspace(stage.verb, stage.subject, stage.fingerprint)
    records = dict(_records(folder))
    return not records or any(_fits(stage, record) for record in records.values())


def _fits(stage: Stage, record: dict[str, Any]) -> bool:
    sizes = record.get(SIZES)
    for name, path in stage.files.items():
        if name == PROVENANCE:  # differs whenever and wherever a result is computed
            continue
        size, digest = path.stat().st_size, record[OUTPUTS].get(name)
        if isinstance(sizes, dict) and size != sizes.get(name, size):
            return False
        if digest is not None and size <= SMALL_BYTES and files.sha256(path) != digest:
            return False
    return True


def _records(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A state folder and what its finished.json holds, and those beside it with work on other inputs."""
    for marker in folder.parent.glob(f"*/{FINISHED}"):
        if marker.parent.name.partition(".")[0] != folder.name:
            continue
        try:
            yield marker.parent, files.read_object(marker, **{OUTPUTS: dict})
        except UserError:  # a damaged record: the stage computes its result again
            logger.warning(f"{marker}: damaged, so what it describes is not checked; its stage makes it anew")
