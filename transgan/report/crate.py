"""RO-Crates of a table or a cell: what another lab needs to compare, to replay, and to pool.

A crate (a Process Run Crate) holds cells.csv (numbers and fingerprints, docs/tables.md), provenance.json
(commits, machines, libraries, data), digests.json (SHA-256 of every result behind the numbers), the params file, and
uv.lock and dvc.lock where they are here. Writing one needs the library rocrate; reading, and so pooling, does not.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import reduce
from io import StringIO
from operator import add
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import yaml
from pydantic import BaseModel, Field, ValidationError

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.stages import stage
from transgan.pipeline.workspace import differences
from transgan.report.cells_frame import CELL, COLUMNS, csv_text, to_frame
from transgan.report.seed_statistics import (
    POOLED,
    CrossedComponents,
    CrossedSums,
    crossed_components,
    crossed_sums,
)
from transgan.report.trace import UNKNOWN, Traced
from transgan.utils import files

METADATA = "ro-crate-metadata.json"
CELLS, PROVENANCE, DIGESTS = "cells.csv", "provenance.json", "digests.json"
LOCKS = ("uv.lock", "dvc.lock")
LARGEST_BYTES = 100_000_000  # of a file that pooling reads
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
SEEDS = [*CELL, "seed"]
NAMED = [*CELL, "measured"]
ALL = "all machines"
FREEDOM = ("training_freedom", "machine_freedom", "rest_freedom")  # fields of CrossedSums


def export(plan: Plan, of: Sequence[Traced], folder: Path) -> None:
    """Write a crate of these cells to `folder`, which must be empty. The same results give the same bytes.

    Raises UserError if no cell has a number, or something is in the folder, and ImportError without rocrate.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    measured = [each for each in of if each.cell.result is not None]
    if not measured:
        raise UserError(f"{folder}: no cell has a number yet; nothing to export")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: not an empty folder; remove it, or name another one")
    tables = ", ".join(dict.fromkeys(each.cell.table for each in measured))
    crate = ROCrate()
    crate.name = f"TransGAN, reproduced: {tables} at scale {plan.scale_name}"
    crate.description = f"{len(measured)} cells with what they were computed from. {plan.scale.description}"
    crate.datePublished = max((run["finished"] for run in _runs(measured) if "finished" in run), default=None)
    crate.root_dataset["conformsTo"] = crate.add(ContextEntity(crate, PROFILE, {"@type": "CreativeWork"}))
    texts = {
        CELLS: csv_text(to_frame(each.cell for each in measured)),
        PROVENANCE: files.dumps({"scale": plan.scale_name, "cells": [each.plain() for each in measured]}),
        DIGESTS: files.dumps(_digests(plan, measured)),
        "params.yaml": plan.file.read_text(encoding="utf-8"),
        **{name: Path(name).read_text(encoding="utf-8") for name in LOCKS if Path(name).is_file()},
    }
    added = {
        name: crate.add_file(
            StringIO(text), name, properties={"sha256": _sha256(text), "contentSize": len(text.encode())}
        )
        for name, text in texts.items()
    }
    for run in {run["run"]: run for run in _runs(measured)}.values():
        program = crate.add(
            ContextEntity(
                crate,
                f"#commit-{run.get('commit') or UNKNOWN}",
                {"@type": "SoftwareApplication", "name": "transgan", "version": run.get("commit") or UNKNOWN},
            )
        )
        crate.add(
            ContextEntity(
                crate,
                f"#train-{run['run']}",
                {
                    "@type": "CreateAction",
                    "name": f"transgan train {run['run']}",
                    "startTime": run.get("started"),
                    "endTime": run.get("finished"),
                    "description": machine(run),
                    "instrument": program,
                    "object": added["params.yaml"],
                    "result": added[CELLS],
                },
            )
        )
    crate.write(folder)


def machine(run: Mapping[str, Any]) -> str:
    """The machine of a run, from its provenance, in words: GPUs, or processor and instructions."""
    hardware = run.get("hardware") or {}
    gpus = ", ".join(hardware.get("gpus") or [])
    if gpus:
        return gpus
    words = [str(hardware.get("cpu") or UNKNOWN)]
    identity = hardware.get("processor") or {}
    if identity:
        words.append(f"family {identity.get('family')} model {identity.get('model')}")
    if hardware.get("instruction_set"):
        words.append(str(hardware["instruction_set"]))
    return ", ".join(words)


class _Run(BaseModel):
    run: str
    score_fingerprint: str
    commit: str | None = None
    hardware: dict[str, Any] = {}


class _Cell(BaseModel):
    table: str
    row: str
    metric: str
    runs: list[_Run]


class _Provenance(BaseModel):
    scale: str
    cells: Annotated[list[_Cell], Field(min_length=1)]


@dataclass(frozen=True)
class Crate:
    """A crate that was read: its lines of cells.csv that have a number, each with the machine that computed it."""

    folder: Path
    frame: pd.DataFrame
    params: str


def read(folder: Path) -> Crate:
    """Read and verify a crate. Raises UserError if it is none, or a file differs from its digest in the metadata."""
    if not (folder / METADATA).exists():
        raise UserError(
            f"{folder}: no crate, which has {METADATA}; name a folder that `transgan replay --export` wrote"
        )
    metadata = files.read_object(folder / METADATA, **{"@graph": list})
    digests = {
        str(entity.get("@id")): entity.get("sha256") for entity in metadata["@graph"] if isinstance(entity, dict)
    }
    texts = {name: _text(folder / name, digests.get(name)) for name in (CELLS, PROVENANCE, "params.yaml")}
    try:
        provenance = _Provenance.model_validate(json.loads(texts[PROVENANCE]))
        frame = pd.read_csv(StringIO(texts[CELLS]), dtype=dict(COLUMNS))
        frame = frame[frame["ours"].notna()]
        lacking = set(COLUMNS) - set(frame)
        if lacking:
            raise ValueError(f"{CELLS} has no column {', '.join(sorted(lacking))}")
    except (ValueError, ValidationError, RecursionError) as error:
        first = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: damaged, or of another version ({first}); export it again") from error
    machines = {run.score_fingerprint: machine(run.model_dump()) for cell in provenance.cells for run in cell.runs}
    frame = frame.assign(machine=frame["fingerprint"].map(machines).fillna(UNKNOWN), crate=str(folder))
    return Crate(folder, frame, texts["params.yaml"])


def read_all(folders: Sequence[Path]) -> pd.DataFrame:
    """The lines of several crates, each result once.

    Raises UserError if two crates have another fingerprint for the same cell and seed, because they are of different
    configurations, or if a crate is named twice.
    """
    crates = [read(folder) for folder in folders]
    if len({crate.folder.resolve() for crate in crates}) < len(crates):
        raise UserError("a crate is named twice; name each one once")
    _check_one_configuration(crates)
    lines = pd.concat([crate.frame for crate in crates], ignore_index=True)
    return lines.drop_duplicates([*SEEDS, "machine", "ours"])  # one result in several crates is one result


def pool(lines: pd.DataFrame) -> pd.DataFrame:
    """A line per cell and machine: n (training seeds), mean and std over them (NaN for one).

    Several results of one seed on machines of one kind count once, by their mean. Cells of several machines have a line
    for all of them, over the means of each seed.
    """
    summaries = []
    for cell, of_cell in lines.groupby(NAMED, sort=False):
        of_machine = of_cell.groupby("machine", sort=False)
        every = {str(name): each.groupby("seed")["ours"].mean() for name, each in of_machine}
        if len(every) > 1:  # the same seed on several machines is no further seed
            every[ALL] = of_cell.groupby("seed")["ours"].mean()
        summaries += [
            [*cell, name, each.count(), float(each.mean()), float(each.std())] for name, each in every.items()
        ]
    return pd.DataFrame(summaries, columns=[*NAMED, "machine", "n", "mean", "std"])


def spread(lines: pd.DataFrame) -> pd.DataFrame:
    """How much training seeds, machines, and the same seed on another machine differ: a line per cell, and of all rows.

    Of the cells with two or more seeds that two or more machines have; other seeds do not count, and machines with too
    few common seeds are left out. Rows of the same machines are pooled. The columns after the cell's are the names of
    the machines, seeds, and the fields of CrossedComponents and FREEDOM.
    """
    records: list[list[Any]] = []
    of_column: dict[tuple[Any, ...], list[CrossedSums]] = {}
    known = lines[~lines["machine"].str.startswith(UNKNOWN)]
    for (table, row, *place), of_cell in known.groupby(NAMED, sort=False):
        scores = _balanced(of_cell)
        if min(scores.shape) < 2:
            continue
        sums, machines = crossed_sums(scores.to_numpy(float)), tuple(scores.columns)
        records.append([table, row, *place, machines, len(scores), *_analysed(sums)])
        of_column.setdefault((table, *place, machines), []).append(sums)
    for (table, *place, machines), every in of_column.items():
        if len(every) > 1:
            pooled = reduce(add, every)
            seeds = pooled.training_freedom + len(every)
            records.append([table, POOLED, *place, machines, seeds, *_analysed(pooled)])
    names = [each.name for each in fields(CrossedComponents)]
    return pd.DataFrame(records, columns=[*NAMED, "machines", "seeds", *names, *FREEDOM])


def _balanced(of_cell: pd.DataFrame) -> pd.DataFrame:
    """Scores (seed, machine) of seeds that all of the machines have. A machine's results of one seed are averaged."""
    scores = of_cell.pivot_table(index="seed", columns="machine", values="ours")
    scores = scores[scores.count(axis=1) > 1]  # a seed of a single machine says nothing about machines
    while scores.shape[1] > 2 and len(scores.dropna()) < 2:
        scores = scores.drop(columns=scores.count().idxmin())
    return scores.dropna()


def _analysed(sums: CrossedSums) -> list[Any]:
    return [*astuple(crossed_components(sums)), *(getattr(sums, name) for name in FREEDOM)]


def _check_one_configuration(crates: Sequence[Crate]) -> None:
    """Raise UserError for the first cell and seed that has different fingerprints in two crates."""
    known: dict[tuple[Any, ...], tuple[str, Crate]] = {}
    for crate in crates:
        for line in crate.frame[[*SEEDS, "fingerprint"]].itertuples(index=False, name=None):
            *cell, fingerprint = line
            before, first = known.setdefault(tuple(cell), (fingerprint, crate))
            if fingerprint != before:
                raise _differ(cell, first, before, crate, fingerprint)


def _differ(cell: Sequence[Any], first: Crate, before: str, other: Crate, after: str) -> UserError:
    named = ", ".join(str(part) for part in cell[:-1]) + f", seed {cell[-1]}"
    try:
        found = differences(yaml.safe_load(first.params), yaml.safe_load(other.params))
    except (yaml.YAMLError, RecursionError):
        found = []
    why = f"; their params.yaml differ: {'; '.join(found[:3])}" if found else "; their params.yaml are equal"
    return UserError(
        f"{first.folder} and {other.folder}: {named} has the fingerprints {before} and {after}, so these are different "
        f"experiments and are not pooled{why}"
    )


def _text(path: Path, digest: object) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise UserError(f"{path}: larger than {LARGEST_BYTES // 10**6} MB; not a file of such a crate")
        content = path.read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); name a folder that `--export` wrote") from error
    if digest != _sha256(text):
        raise UserError(f"{path}: its SHA-256 is not that in {METADATA}: changed or damaged; get the crate again")
    return text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _runs(of: Sequence[Traced]) -> list[dict[str, Any]]:
    return [origin.plain() for each in of for origin in each.origins]


def _digests(plan: Plan, of: Sequence[Traced]) -> dict[str, str]:
    """Path -> SHA-256 of the runs' and scores' files, and of their references."""
    runs = dict.fromkeys(origin.run for each in of for origin in each.origins)
    every = [stage(plan, verb, run) for run in runs for verb in ("train", "score")]
    every += [stage(plan, "reference", plan.run(run).reference) for run in runs]
    paths = sorted({path for each in every for path in each.outputs if path.is_file()})
    return {str(path): files.sha256(path) for path in paths}
