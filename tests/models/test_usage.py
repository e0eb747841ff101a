"""The examples in the documentation that build a network run as they are."""

import re

import pytest
import torch

from tests.conftest import ROOT
from transgan.config import plan
from transgan.models import build_discriminator

EXAMPLE = re.compile(r"## Use it in your own code\n+```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", ["docs/models.md", "docs/architecture.md"])
def test_the_example_samples_from_the_papers_cifar10_generator(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    example = EXAMPLE.search((ROOT / page).read_text(encoding="utf-8"))
    assert example is not None
    names: dict[str, object] = {}
    with torch.no_grad():
        exec(example[1], names)
    assert sum(parameter.numel() for parameter in names["generator"].parameters()) == 83_312_495
    assert names["images"].shape == (4, 3, 32, 32)


def test_the_discriminator_is_built_as_the_page_says():
    config = plan.load(ROOT / "params.yaml", "paper").run("transgan-cifar10").model
    with torch.device("meta"):
        discriminator = build_discriminator(config.discriminator, resolution=32)
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 10_210_400
