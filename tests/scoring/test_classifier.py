"""The digit classifier: learns, is reproducible, and its file gives the reason when it holds no weights."""

from pathlib import Path

import pytest
import torch
import yaml

from tests.scoring.conftest import write_params
from transgan.config import plan
from transgan.data.pack import Pack
from transgan.errors import UserError
from transgan.metrics import digit_classifier
from transgan.metrics.digit_classifier import LabelledImages
from transgan.schema import ClassifierConfig
from transgan.scoring import classifier


def splits() -> dict[str, LabelledImages]:
    pack = Pack.open(plan.load().paths.data("digits"))
    return {
        name: LabelledImages.from_arrays(pack.images[pack.rows([name])], pack.labels[pack.rows([name])])
        for name in ("train", "test")
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_it_classifies_97_percent_of_held_out_digits_correctly(project: Path, seed: int) -> None:
    data = splits()
    net = digit_classifier.train(ClassifierConfig(dataset="digits", seed=seed), data["train"])
    assert digit_classifier.accuracy(net, data["test"]) >= 0.97


def test_the_same_configuration_gives_the_same_weights(project: Path) -> None:
    data = splits()["train"]
    subset = LabelledImages(data.images[:200], data.labels[:200])
    config = ClassifierConfig(dataset="digits", epochs=1)
    torch.manual_seed(5)
    first = digit_classifier.train(config, subset).state_dict()
    torch.manual_seed(6)
    second = digit_classifier.train(config, subset).state_dict()
    other = digit_classifier.train(config.model_copy(update={"seed": 1}), subset).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_training_does_not_change_the_global_random_state(project: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    digit_classifier.train(
        ClassifierConfig(dataset="digits", epochs=1),
        LabelledImages(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), torch.arange(8)),
    )
    assert torch.equal(before, torch.get_rng_state())


def test_it_resizes_images_of_another_size() -> None:
    features, logits = digit_classifier.DigitNet(8, 4, 6, 10)(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert features.shape == (2, 6)
    assert logits.shape == (2, 10)


def test_shifts_move_by_one_pixel_and_the_border_becomes_black() -> None:
    images = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).expand(2, 3, 3, 3)
    moved = digit_classifier._shift(images, torch.tensor([[0, 0], [1, -1]]))
    assert torch.equal(moved[0], images[0])
    assert moved[1, 0].tolist() == [[0, 4, 5], [0, 7, 8], [0, 0, 0]]


def test_a_classifier_that_learns_too_little_fails(project: Path) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["classifiers"]["digits"] |= {"epochs": 1, "lr": 1e-9, "accuracy": 0.97}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="of the split test correctly, 97% are required"):
        classifier.train(plan.load(), "digits")


def test_the_file_gives_the_reason_when_no_classifier_is_needed(project: Path) -> None:
    write_params(project, extractor="inception-v3-compat", feature_layer="2048")
    current = plan.load()
    classifier.train(current, "digits")
    path = current.paths.classifier("digits")
    assert path.stat().st_size < 1000
    with pytest.raises(UserError, match="empty on purpose: no protocol of scale tiny scores with classifier digits"):
        digit_classifier.load(path)


def test_a_damaged_classifier_is_one_line(project: Path) -> None:
    path = Path("damaged.safetensors")
    path.write_bytes(plan.load().paths.classifier("digits").read_bytes()[:500])
    with pytest.raises(UserError, match="damaged"):
        digit_classifier.load(path)
    with pytest.raises(UserError, match="no such file"):
        digit_classifier.load(Path("missing.safetensors"))
