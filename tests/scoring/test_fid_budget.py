"""The FID budget on digits: changes that change nothing, and values that other tools give as well."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.scoring.conftest import REFERENCE, RUN, write_params
from transgan.config import plan
from transgan.data.pack import Pack
from transgan.errors import UserError
from transgan.metrics.generator_files import load_trained
from transgan.metrics.reference_statistics import load_reference
from transgan.metrics.subsets import random_halves
from transgan.scoring.evaluate import evaluate
from transgan.scoring.fid_budget import changes, measure, measure_images

CHANGES = {f"{kind}, {name}": change for kind, name, change in changes()}


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


def test_doubled_pixels_reduced_with_box_are_the_same_images(images: NDArray[np.uint8]) -> None:
    assert np.array_equal(CHANGES["resize filter, box, from twice the side"](images), images)


@pytest.mark.parametrize("name", CHANGES)
def test_an_image_of_one_colour_stays_as_it_is(name: str) -> None:
    grey = np.full((2, 16, 16, 3), 128, dtype=np.uint8)
    assert np.array_equal(CHANGES[name](grey), grey)


def test_jpeg_changes_more_at_a_lower_quality(images: NDArray[np.uint8]) -> None:
    errors = [
        np.abs(change(images).astype(float) - images).mean() for name, change in CHANGES.items() if "JPEG" in name
    ]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_a_crop_enlarges_the_centre(images: NDArray[np.uint8]) -> None:
    framed = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    framed[:, 2:-2, 2:-2] = 200  # 12 of 16 pixels; the crop of 14 makes that about 13.7
    (name,) = (name for name in CHANGES if "crop" in name)
    assert CHANGES[name](framed)[0].sum() > 1.2 * framed.sum()


def test_lines_agree_with_evaluate(project: Path) -> None:
    current = plan.load()
    measured = measure(current, RUN, load_trained(current, RUN), ports=[current.paths.classifier("digits")])
    lines = {(line.kind, line.change): line.fid for line in measured.lines}
    expected = evaluate(current, RUN, "cifar10")["metrics"]["fid"]["values"]
    assert measured.base == pytest.approx(expected[0])
    assert lines["evaluation seed", "1 instead of 0"] == pytest.approx(expected[1])
    assert measured.noise == pytest.approx(np.std(expected, ddof=1))
    assert lines["resize filter", "box, from twice the side"] == measured.base
    assert lines["moving average", "off: the last weights"] == measured.base  # the same weights were given
    assert lines["extractor", "digits.safetensors"] == pytest.approx(measured.base)  # the same port was given
    rounded = evaluate(current, RUN, "cifar10", changes={"quantize": "round", "seeds": [0]})["metrics"]["fid"]["values"]
    assert lines["quantization", "round"] == pytest.approx(rounded[0])
    test = evaluate(current, RUN, "cifar10:test", changes={"seeds": [0]})["metrics"]["fid"]["values"]
    assert lines["reference split", "test, 360 images"] == pytest.approx(test[0])
    half = evaluate(current, RUN, "cifar10", changes={"samples": 100, "seeds": [0]})["metrics"]["fid"]["values"]
    assert lines["samples", "100"] == pytest.approx(half[0])


def test_what_is_missing_is_named(project: Path) -> None:
    current = plan.load()
    with pytest.raises(UserError, match="no such file; name a file of weights of digits with --port"):
        measure(current, RUN, None, ports=[Path("absent.pth")])
    lines = {line.kind: line for line in measure(current, RUN, None, "no checkpoint is kept").lines}
    assert (lines["moving average"].fid, lines["moving average"].note) == (None, "no checkpoint is kept")
    assert lines["extractor"].fid is None
    assert "port-NAME" in lines["extractor"].note


def test_parts_are_of_the_reference_that_the_protocol_selects(project: Path) -> None:
    write_params(project, reference_samples=200)
    current = plan.load()
    lines = {(line.kind, line.change) for line in measure(current, RUN, None).lines}
    assert ("reference size", "100 of 200 images") in lines
    assert ("reference split", "test, 200 images") in lines


def test_halves_of_the_reference_s_images_are_at_its_floor(project: Path) -> None:
    write_params(project, samples=1000)  # more than half of the 1,437
    current = plan.load()
    floor = load_reference(current.paths.reference(REFERENCE)).floor
    measured = measure_images(current, "cifar10:train")
    lines = {(line.kind, line.change): line.fid for line in measured.lines}
    assert measured.base == pytest.approx(floor)
    assert (measured.samples, measured.floor, measured.of_images) == (718, None, True)
    assert lines["resize filter", "box, from twice the side"] == pytest.approx(measured.base, rel=1e-4)  # other batches
    assert lines["JPEG", "quality 75"] > measured.base
    assert lines["samples", "359"] > measured.base
    assert lines["reference size", "359 of 718 images"] > measured.base
    assert {kind for kind, _ in lines} == {"halves", "JPEG", "resize filter", "crop", "samples", "reference size"}
    assert not any(line.note for line in measured.lines if line.kind == "JPEG")


def test_changes_are_of_one_half_and_agree_with_evaluate(project: Path) -> None:
    current = plan.load()
    lines = {(line.kind, line.change): line.fid for line in measure_images(current, "cifar10:test").lines}
    pack = Pack.open(current.paths.data("cifar10"))
    rows = pack.rows(["test"])
    half, other = (pack.read(rows[part.numpy()]) for part in random_halves(torch.arange(len(rows))))
    np.save("half.npy", CHANGES["JPEG, quality 75"](half))
    np.save("other.npy", other)
    expected = evaluate(current, "half.npy", "other.npy", "few", ["fid"], {"seeds": [0]})["metrics"]["fid"]["values"]
    assert lines["JPEG", "quality 75"] == pytest.approx(expected[0])


def test_too_few_images_for_halves_are_refused(project: Path) -> None:
    current = plan.load()
    np.save("few.npy", np.full((100, 8, 8, 3), 9, dtype=np.uint8))
    with pytest.raises(UserError, match=r"half of few\.npy: 50 images are fewer than the"):
        measure_images(current, "few.npy")
    np.save("one.npy", np.full((1, 8, 8, 3), 9, dtype=np.uint8))
    with pytest.raises(UserError, match=r"one\.npy: a single image has no halves"):
        measure_images(current, "one.npy")
