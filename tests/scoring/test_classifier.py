"""The digit classifier: learns, is the same every time, and says honestly when it was not needed."""

from pathlib import Path

import pytest
import torch
import yaml

from tests.scoring.conftest import write_params
from transgan.config import plan
from transgan.data.pack import Pack
from transgan.errors import UserError
from transgan.metrics import digit_classifier
from transgan.schema import ClassifierConfig
from transgan.scoring import classifier


def parts() -> dict[str, digit_classifier.Pictures]:
    pack = Pack.open(plan.load().paths.data("digits"))
    return {
        name: digit_classifier.Pictures.of(pack.images[pack.rows([name])], pack.labels[pack.rows([name])])
        for name in ("train", "test")
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_it_gets_97_percent_of_held_out_digits_right(project: Path, seed: int) -> None:
    data = parts()
    net = digit_classifier.train(ClassifierConfig(dataset="digits", seed=seed), data["train"])
    assert digit_classifier.accuracy(net, data["test"]) >= 0.97


def test_the_same_configuration_gives_the_same_weights(project: Path) -> None:
    data = parts()["train"]
    few = digit_classifier.Pictures(data.images[:200], data.labels[:200])
    config = ClassifierConfig(dataset="digits", epochs=1)
    torch.manual_seed(5)
    first = digit_classifier.train(config, few).state_dict()
    torch.manual_seed(6)
    second = digit_classifier.train(config, few).state_dict()
    other = digit_classifier.train(config.model_copy(update={"seed": 1}), few).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_training_leaves_the_global_random_state_alone(project: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    digit_classifier.train(
        ClassifierConfig(dataset="digits", epochs=1),
        digit_classifier.Pictures(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), torch.arange(8)),
    )
    assert torch.equal(before, torch.get_rng_state())


def test_it_takes_pictures_of_another_size() -> None:
    features, logits = digit_classifier.DigitNet(8, 4, 6, 10)(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert features.shape == (2, 6)
    assert logits.shape == (2, 10)


def test_shifts_move_by_one_pixel_and_let_black_in() -> None:
    images = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).expand(2, 3, 3, 3)
    moved = digit_classifier._shifted(images, torch.tensor([[0, 0], [1, -1]]))
    assert torch.equal(moved[0], images[0])
    assert moved[1, 0].tolist() == [[0, 4, 5], [0, 7, 8], [0, 0, 0]]


def test_a_classifier_that_learns_too_little_fails(project: Path) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["classifiers"]["digits"] |= {"epochs": 1, "lr": 1e-9, "accuracy": 0.97}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="of the split test right, 97% are asked for"):
        classifier.train(plan.load(), "digits")


def test_where_it_is_not_needed_the_file_says_so(project: Path) -> None:
    write_params(project, extractor="inception-v3-compat", feature_layer="2048")
    current = plan.load()
    classifier.train(current, "digits")
    path = current.paths.classifier("digits")
    assert path.stat().st_size < 1000
    with pytest.raises(UserError, match="empty on purpose: no protocol of scale tiny scores with classifier digits"):
        classifier.load(path)


def test_a_damaged_classifier_is_one_line(project: Path) -> None:
    path = Path("damaged.safetensors")
    path.write_bytes(plan.load().paths.classifier("digits").read_bytes()[:500])
    with pytest.raises(UserError, match="damaged"):
        classifier.load(path)
    with pytest.raises(UserError, match="not there"):
        classifier.load(Path("missing.safetensors"))
