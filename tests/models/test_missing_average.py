"""A checkpoint without its moving average: imported with one line that says so, which its scores carry."""

import json
from pathlib import Path

import pytest
import torch

from tests.models.test_official_checkpoints import checkpoint
from transgan.errors import UserError
from transgan.models.official_checkpoints import import_official
from transgan.models.serialization import load_generator

pytestmark = pytest.mark.faults


def without_average(folder: Path, average: object) -> Path:
    """A checkpoint whose moving average is `average`; "missing": there is no such entry."""
    path = checkpoint(folder)
    content = torch.load(path, weights_only=False)
    content["gen_state_dict"] = content.pop("avg_gen_state_dict")
    if average != "missing":
        content["avg_gen_state_dict"] = average
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("average", "reason"),
    [("missing", "is missing"), (None, "is missing"), ({}, "is missing"), ([torch.zeros(2)], "is list"), (3, "is int")],
)
def test_the_last_weights_are_taken_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], average: object, reason: str
) -> None:
    path = without_average(tmp_path, average)
    saved = load_generator(import_official(path, tmp_path / "generator.safetensors"))
    said = f"the last weights (gen_state_dict), not the moving average (avg_gen_state_dict {reason})"
    assert capsys.readouterr().err.count(said) == 1
    assert said in saved.module.caution
    assert saved.metadata["imported"]["entry"] == "gen_state_dict"


@pytest.mark.parametrize(("fill", "fault"), [(float("nan"), "contains NaN or infinity"), (0.0, "is nothing but zeros")])
def test_an_average_that_draws_nothing_is_as_if_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fill: float, fault: str
) -> None:
    path = checkpoint(tmp_path)
    content = torch.load(path, weights_only=False)
    average = content["avg_gen_state_dict"]
    content["gen_state_dict"] = average
    content["avg_gen_state_dict"] = {name: torch.full_like(value, fill) for name, value in average.items()}
    torch.save(content, path)
    saved = load_generator(import_official(path, tmp_path / "generator.safetensors"))
    assert f"not the moving average (avg_gen_state_dict {fault})" in saved.module.caution
    del content["gen_state_dict"]
    torch.save(content, path)
    with pytest.raises(UserError, match=f"avg_gen_state_dict {fault}: no weights to generate with"):
        import_official(path, tmp_path / "other.safetensors")


def test_with_the_average_nothing_is_said(tmp_path: Path) -> None:
    saved = load_generator(import_official(checkpoint(tmp_path), tmp_path / "generator.safetensors"))
    assert saved.module.caution == ""
    assert "caution" not in json.dumps(saved.metadata)
