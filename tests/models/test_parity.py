"""Agreement with numbers that the authors' released modules produced (tests/models/fixtures/README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from transgan.models.official import from_state_dict

FIXTURES = Path(__file__).parent / "fixtures"
RELEASED = [f"{dataset}_{net}" for dataset in ("cifar10", "stl10", "church256", "celebahq256") for net in ("generator", "discriminator")]


def fixture(name: str):
    path = FIXTURES / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is too large for the repository; put it into {FIXTURES} to run this")
    content = np.load(path)
    state = {key.removeprefix("state/"): torch.from_numpy(content[key]).float() for key in content.files if key.startswith("state/")}
    return state, torch.from_numpy(content["input"]), torch.from_numpy(content["output"])


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_module_gives_the_authors_output(name):
    state, given, expected = fixture(name)
    with torch.no_grad():
        output = from_state_dict(state)(given)
    assert output.shape == expected.shape
    assert (output - expected).abs().max() < 1e-4
