"""Agreement with the outputs of the authors' released modules (tests/models/fixtures/README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from transgan.models import build_generator
from transgan.models.official_checkpoints import from_state_dict

from .test_named import MODELS, reduced

FIXTURES = Path(__file__).parent / "fixtures"
RELEASED = [
    f"{dataset}_{net}"
    for dataset in ("cifar10", "stl10", "church256", "celebahq256")
    for net in ("generator", "discriminator")
]


def fixture(name: str):
    path = FIXTURES / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is too large for the repository; put it into {FIXTURES} to run this")
    content = np.load(path)
    state = {
        key.removeprefix("state/"): torch.from_numpy(content[key]).float()
        for key in content.files
        if key.startswith("state/")
    }
    return state, torch.from_numpy(content["input"]), torch.from_numpy(content["output"])


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_module_gives_the_output_of_the_authors(name):
    state, given, expected = fixture(name)
    with torch.no_grad():
        output = from_state_dict(state)(given)
    assert output.shape == expected.shape
    assert (output - expected).abs().max() < 1e-4


# Outputs at four pixels of small networks of the two 256-pixel families, recorded when this implementation agreed with
# church256_generator.npz and celebahq256_generator.npz to 3e-5. They test the same layers if those files are missing.
RECORDED: dict[str, list[float]] = {
    "church256": [0.846274, -4.387899, -2.037318, -1.57368],
    "celebahq256-released": [-3.423028, 1.091801, -0.204614, -2.224843],
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_256_pixel_families_give_the_recorded_numbers(name):
    generator = build_generator(reduced(MODELS[name]).generator)
    numbers = np.random.default_rng(0)
    with torch.no_grad():
        for _, parameter in sorted(generator.named_parameters()):
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim else 0.0  # scalars are noise strengths
            parameter.copy_(torch.as_tensor(scale * numbers.standard_normal(parameter.shape)))
        image = generator(torch.from_numpy(numbers.standard_normal((1, generator.latent))).float())[0]
    pixels = [image[0, 0, 0], image[1, 20, 33], image[2, 41, 7], image[0, 63, 63]]
    assert [float(value) for value in pixels] == pytest.approx(RECORDED[name], abs=1e-4)
