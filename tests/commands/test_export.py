"""`transgan export`: what another person gets, read with safetensors, a YAML reader and this package."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import yaml

import transgan
from tests.tracking.runs import DATA, PARAMS, RUN, finished_run, trained_generator
from transgan.commands.export import export
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.models.serialization import METADATA_KEY
from transgan.utils import files


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A project with one finished run of the demo."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    plan = plans.load(scale="demo")
    finished_run(plan)
    trained_generator(plan)
    return plan


def card(folder: Path) -> tuple[dict[str, Any], str]:
    """Front matter and text of the model card."""
    _, matter, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(matter), text


def test_the_weights_are_plain_safetensors_and_say_where_they_come_from(demo: Plan, tmp_path: Path) -> None:
    export(demo, RUN, tmp_path / "shared", "cc-by-4.0")
    trained = safetensors.torch.load_file(demo.paths.run(RUN) / "generator.safetensors")
    shared = safetensors.torch.load_file(tmp_path / "shared" / "model.safetensors")
    assert trained.keys() == shared.keys()
    assert all(torch.equal(trained[key], shared[key]) for key in trained)
    with safetensors.safe_open(tmp_path / "shared" / "model.safetensors", "pt") as file:
        keys = file.metadata()
    assert (keys["format"], keys["license"], keys["dataset"], keys["data_sha256"]) == (
        "pt",
        "cc-by-4.0",
        "digits",
        DATA,
    )
    assert json.loads(keys["scores"])["fid50k-train"]["fid"]["values"] == [3.0, 5.0]
    assert keys["latent_size"] == str(demo.run(RUN).model.generator.latent)
    assert METADATA_KEY in keys


def test_the_model_card_has_the_front_matter_of_the_hub_with_the_scores(demo: Plan, tmp_path: Path) -> None:
    export(demo, RUN, tmp_path / "shared")
    matter, text = card(tmp_path / "shared")
    assert matter["license"] == "other"
    assert (matter["library_name"], matter["datasets"], matter["metrics"]) == ("transgan", ["digits"], ["fid", "is"])
    (result,) = matter["model-index"][0]["results"]
    assert {each["type"]: each["value"] for each in result["metrics"]} == {"fid": 4.0, "is": 7.5}
    assert "not comparable with the paper" in text
    assert DATA in text
    assert "![Samples](samples.png)" in text
    assert (tmp_path / "shared" / "samples.png").exists()


def test_a_comparable_scale_has_no_such_sentence(demo: Plan, tmp_path: Path) -> None:
    paper = plans.load(scale="paper")
    finished_run(paper)
    trained_generator(paper, demo)  # small weights in the place of the paper's
    paper.paths.score(RUN).unlink()
    export(paper, RUN, tmp_path / "shared")
    matter, text = card(tmp_path / "shared")
    assert "not comparable" not in text
    assert "before it was scored" in text
    assert "metrics" not in matter
    assert matter["datasets"] == ["cifar10"]
    assert matter["license_link"].startswith("https://")


def test_a_folder_is_read_and_written_again_with_the_same_images(demo: Plan, tmp_path: Path) -> None:
    export(demo, RUN, tmp_path / "shared")
    generator = transgan.load_generator(tmp_path / "shared")
    generator.save_pretrained(tmp_path / "again")
    again = transgan.TrainedGenerator.from_pretrained(tmp_path / "again")
    expected = transgan.load_generator(RUN).sample(3)
    assert np.array_equal(generator.sample(3), expected)
    assert np.array_equal(again.sample(3), expected)
    config = files.read_json(tmp_path / "again" / "config.json")
    assert config["latent_size"] == again.latent
    with pytest.raises(transgan.UserError, match=r"no folder with model\.safetensors"):
        transgan.TrainedGenerator.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="not read from a file"):
        transgan.TrainedGenerator(again.module).save_pretrained(tmp_path / "third")


def test_nothing_is_overwritten_and_a_run_that_is_not_trained_is_named(demo: Plan, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    with pytest.raises(transgan.UserError, match="already exists"):
        export(demo, RUN, tmp_path / "mine")
    assert (tmp_path / "mine" / "README.md").read_text() == "mine"
    with pytest.raises(transgan.UserError, match="`transgan train transgan-stl10`"):
        export(demo, "transgan-stl10", tmp_path / "other")
    assert not (tmp_path / "other").exists()
