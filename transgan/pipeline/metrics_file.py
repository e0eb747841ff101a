"""results/<scale>/metrics/<run>.json, which `dvc metrics` shows and git stores: the means of a run's scores."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from transgan.utils import files


def write(path: Path, scores: Mapping[str, Any], protocol: str) -> None:
    """Write {metric: mean over evaluation seeds} of `scores`, the content of a scores/<run>.json, under `protocol`."""
    files.write_json(path, {name: fmean(metric["values"]) for name, metric in scores["protocols"][protocol].items()})
