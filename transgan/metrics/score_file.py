"""Reads score files and validates what tables, figures and MLflow use of them. Imports no torch."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from transgan.config.plan import Plan
from transgan.pipeline.recorded_digests import check_unchanged
from transgan.utils import files


class _Metric(BaseModel):
    values: Annotated[list[FiniteFloat], Field(min_length=1)]
    split_std: list[FiniteFloat] = []


class _Scores(BaseModel):
    fingerprint: str
    train_fingerprint: str
    data: str
    images: int
    protocols: dict[str, dict[str, _Metric]]
    settings: dict[str, dict[str, Any]] = {}


def read_scores(plan: Plan, run: str) -> dict[str, Any] | None:
    """The content of scores/<run>.json, None if there is no such file.

    Raises UserError when it is damaged, or was changed after it was computed.
    """
    path: Path = plan.paths.score(run)
    if not path.exists():
        return None
    content: dict[str, Any] = files.read_json(path, plan.command("score", run))
    try:
        _Scores.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
        raise files.damaged_json(path, what, plan.command("score", run)) from None
    check_unchanged(plan, "score", run, path, content["fingerprint"])
    return content
