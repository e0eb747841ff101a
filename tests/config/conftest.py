"""The content of the tiny params file, for tests that edit it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import TINY


@pytest.fixture
def content() -> dict[str, Any]:
    return yaml.safe_load(TINY.read_text())


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Write `content` to params.yaml in `folder`; returns the file."""
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
