"""The line that a stage ends with: what was made, how long it took, where it is, and what comes next."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from transgan.utils.units import duration

if TYPE_CHECKING:
    from transgan.config.paths import StageName, StageSubject
    from transgan.config.plan import Plan

logger = logging.getLogger(__name__)


@contextmanager
def reported(plan: "Plan", verb: "StageName", subject: "StageSubject") -> Iterator[None]:
    """Log the line after the stage in the `with` block, unless it raises.

    What comes next is for people: it is left out where Snakemake, DVC or a script runs the stage.
    """
    from transgan.pipeline.stages import stage

    started = time.monotonic()
    yield
    made = stage(plan, verb, subject)
    line = f"{verb} {subject}: done in {duration(time.monotonic() - started)}, {_place(made.outputs)}"
    following = _next(plan, verb, subject) if sys.stderr.isatty() and "DVC_STAGE" not in os.environ else None
    logger.info(line + (f"; next: `{following}`" if following else ""))


def _place(outputs: tuple[Path, ...]) -> str:
    """Where files are: one path, one with several suffixes, or their folder."""
    first = outputs[0]
    if len({path.parent for path in outputs}) > 1 or len(outputs) == 1:
        return str(first)
    if len({path.stem for path in outputs}) == 1:
        return f"{first.with_suffix('')}.{{{','.join(path.suffix[1:] for path in outputs)}}}"
    return f"{first.parent}/"


def _next(plan: "Plan", verb: "StageName", subject: "StageSubject") -> str | None:
    """The command of the first stage that can follow; None where the stage's file is what one wanted."""
    from transgan.config.reference_key import ReferenceKey

    name = str(subject)
    references = plan.references
    match verb:
        case "fetch":
            return plan.command("prepare", name)
        case "prepare":
            key = next((key for key in references if key.dataset == name), None)
            return plan.command("reference", *key) if key else None
        case "classifier":
            return plan.command("reference", *references[0]) if references else None
        case "reference" if isinstance(subject, ReferenceKey):
            run = next((run.name for run in plan.scheduled_runs.values() if run.reference == subject), None)
            return plan.command("train", run) if run else None
        case "train":
            return plan.command("score", name)
        case "score":
            table = plan.naming_table(name)
            return plan.command("table", table) if table else None
        case "table" if plan.table(name).kind == "scores":
            return plan.command("trace", name, plan.table(name).rows[0].name)
        case "cells" | "figure":
            return plan.command("report")
    return None
