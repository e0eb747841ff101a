"""Whether declared files are still what their stages computed, by the digests that the state folders record.

A file is checked where a number or a plot is made of it. A file without a record is accepted: `dvc pull` and copying
bring results without their state folders. What came of other inputs under one configuration has a record of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transgan.config.paths import StageName, StageSubject
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey
from transgan.errors import UserError
from transgan.pipeline.stages import CLASSIFIER, PROVENANCE, SCORES, STATISTICS, Stage
from transgan.pipeline.workspace import FINISHED, OUTPUTS, SIZES
from transgan.utils import files

# Larger files are compared by size where many are looked at, and by digest only where one is used.
SMALL_BYTES = 2**18

# Names in the state folder of outputs whose declared names differ.
_NAMES: dict[StageName, str] = {"reference": STATISTICS, "classifier": CLASSIFIER, "score": SCORES}


def check_unchanged(plan: Plan, verb: StageName, subject: StageSubject, path: Path, fingerprint: str) -> None:
    """Raise UserError if `path`, an output of a stage under `fingerprint`, is not what that stage computed.

    `path` must exist. The message names the command that restores it.
    """
    name = _NAMES.get(verb, path.name)
    folder = plan.paths.workspace(verb, subject, fingerprint)
    known = {record[OUTPUTS].get(name) for record in _records(folder)} - {None}
    if known and files.sha256(path) not in known:
        command = plan.command(verb, *(subject if isinstance(subject, ReferenceKey) else (str(subject),)))
        raise UserError(
            f"{path}: was changed or damaged after it was computed, or is from elsewhere (its SHA-256 is not that in "
            f"{folder / FINISHED}); "
            f"run `{command}` to restore it, or delete {folder} to keep it as it is"
        )


def looks_unchanged(plan: Plan, stage: Stage) -> bool:
    """Whether the outputs of a stage, which must exist, have the recorded sizes and, where small, the digests."""
    folder = plan.paths.workspace(stage.verb, stage.subject, stage.fingerprint)
    records = list(_records(folder))
    return not records or any(_fits(stage, record) for record in records)


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


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    """What finished.json holds in a state folder, and in those beside it with work on other inputs."""
    for marker in folder.parent.glob(f"*/{FINISHED}"):
        if marker.parent.name.partition(".")[0] != folder.name:
            continue
        try:
            yield files.read_object(marker, **{OUTPUTS: dict})
        except UserError:  # a damaged record: the stage computes its result again
            continue
