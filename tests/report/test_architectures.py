"""Architectures stage by stage: the page is up to date, stages add up, and known networks are described rightly."""

import pytest
import torch

from tests.conftest import ROOT
from transgan.models import build_discriminator, build_generator
from transgan.report import architectures


def number(text):
    return int(text.replace(",", ""))


def test_the_page_is_up_to_date(project):
    written = (ROOT / architectures.TARGET).read_text(encoding="utf-8")
    assert written == architectures.page(project("paper")), "run `make generate`"


@pytest.mark.parametrize("name", ["cifar10", "celebahq256-released", "celeba128", "v1-s"])
def test_the_parameters_of_the_stages_add_up_to_the_network(project, name):
    model = project("paper").models[name]
    side = model.generator.resolution
    with torch.device("meta"):
        networks = build_generator(model.generator), build_discriminator(model.discriminator, side)
    tables = (
        architectures.generator_lines(model.generator),
        architectures.discriminator_lines(model.discriminator, side),
    )
    for network, lines in zip(networks, tables, strict=True):
        *parts, total = [number(line[-1]) for line in lines]
        assert sum(parts) == total == sum(parameter.numel() for parameter in network.parameters())


def test_the_networks_of_church_are_described_stage_by_stage(project):
    model = project("paper").models["church256"]
    generator = [line[:-1] for line in architectures.generator_lines(model.generator)]
    assert generator[0] == ("latent", "", "", "512", "", "", "")
    assert generator[2] == ("2", "16 x 16", "bicubic", "1,024", "256", "4", "whole map")
    assert generator[6] == ("6", "256 x 256", "pixel shuffle", "16", "65,536", "4", "tiles of 16 x 16")
    discriminator = [line[:-1] for line in architectures.discriminator_lines(model.discriminator, 256)]
    assert discriminator[:4] == [
        ("1", "4 x 4", "64 x 64", "288", "4,096", "3", "tiles of 16 x 16 (2), whole map (1)"),
        ("2", "8 x 8", "32 x 32", "288 + 48 = 336", "1,024", "3", "whole map"),
        ("3", "16 x 16", "16 x 16", "336 + 48 = 384", "256", "4", "whole map"),
        ("with class token", "", "", "384", "257", "1", "whole map"),
    ]


def test_a_plain_vision_transformer_has_its_class_token_in_every_block(project):
    model = project("paper").models["v1-s"]
    stage, score, total = architectures.discriminator_lines(model.discriminator, 32)
    assert stage[:-1] == ("1", "4 x 4", "8 x 8", "384", "65", "7", "whole map")
    assert score[0] == "score"
    assert number(total[-1]) == number(stage[-1]) + number(score[-1])
