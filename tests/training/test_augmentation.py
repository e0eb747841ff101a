"""Augmentation: the ranges and probabilities of docs/paper.md 3.3, gradients, batch groups, rows."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from transgan.errors import UserError
from transgan.training.augmentation import OPERATIONS, Augmentation, _filter_bank
from transgan.utils.random import RandomStreams

N = 512


def augmented(name: str, images: torch.Tensor, probability: float = 0.3, group: int = 1) -> torch.Tensor:
    augmentation = Augmentation([name], images.shape[2], probability)
    return augmentation(images, augmentation.draw(RandomStreams(0), "test", 0, 1, len(images), group)[0])


def runs_of_zero(flags: torch.Tensor) -> set[tuple[int, int]]:
    """(first, last) index of the consecutive zeros in every row of booleans that has zeros."""
    runs = set()
    for row in flags:
        zeros = (~row).nonzero().flatten()
        if len(zeros):
            assert len(zeros) == zeros[-1] - zeros[0] + 1
            runs.add((int(zeros[0]), int(zeros[-1])))
    return runs


@pytest.mark.parametrize(("name", "reach"), [("translation", 6), ("diffaug_translation", 4)])
def test_translation_shifts_each_axis_uniformly_and_fills_with_grey(name, reach):
    position = torch.arange(1.0, 32 * 32 + 1).view(1, 1, 32, 32).expand(4 * N, 3, 32, 32)
    shifted = augmented(name, position)
    centre = shifted[:, 0, 16, 16].long() - 1
    for shift in (16 - centre // 32, 16 - centre % 32):
        values, counts = shift.unique(return_counts=True)
        assert values.tolist() == list(range(-reach, reach + 1))
        expected = 4 * N / (2 * reach + 1)
        assert ((counts - expected).abs() < 5 * math.sqrt(expected)).all()
    down, right = int(16 - centre[0] // 32), int(16 - centre[0] % 32)
    expected = torch.zeros(32, 32)
    rows, columns = (slice(max(shift, 0), 32 + min(shift, 0)) for shift in (down, right))
    source = position[0, 0].roll((down, right), (0, 1))
    expected[rows, columns] = source[rows, columns]
    assert torch.equal(shifted[0, 0], expected)


@pytest.mark.parametrize(("name", "share"), [("cutout", 0.3), ("diffaug_cutout", 1.0)])
def test_cutout_blanks_a_square_of_half_the_side_clipped_at_the_borders(name, share):
    result = augmented(name, torch.ones(4 * N, 3, 32, 32))
    blank = result[:, 0] == 0
    assert torch.equal(result == 0, blank[:, None].expand_as(result))
    hit = blank.any(2).any(1)
    assert abs(hit.float().mean() - share) < 0.04
    inner = [(first, last) for first, last in runs_of_zero(~blank.any(2)) if first > 0 and last < 31]
    assert {last - first + 1 for first, last in inner} == {16}
    # The centre may be on any pixel or on the far edge, so half of the square may be outside, on either side.
    starts = {first - 0 if first else last + 1 - 16 for first, last in runs_of_zero(~blank.any(2))}
    assert (min(starts), max(starts)) == (-8, 24) or name == "cutout"


@pytest.mark.parametrize(
    ("name", "side", "low", "high"), [("erase_ratio", 64, 12, 44), ("stl_erase_ratio", 48, 20, 44)]
)
def test_erasing_draws_height_and_width_per_group(name, side, low, high):
    result = augmented(name, torch.ones(4 * N, 3, side, side), probability=1.0, group=4)
    blank = result[:, 0] == 0
    heights, widths = (blank.any(axis).sum(1) for axis in (2, 1))
    unclipped = {(int(h), int(w)) for h, w in zip(heights, widths, strict=True)}
    assert max(h for h, _ in unclipped) == high
    assert max(w for _, w in unclipped) == high
    for sizes in (heights, widths):
        inside = sizes.view(-1, 4).amax(1)
        assert inside.min() >= low // 2  # clipped at most to half
        assert len(inside.unique()) > 0.7 * (high - low)
    assert (
        abs((augmented(name, torch.ones(4 * N, 3, side, side), group=1) == 0).flatten(1).any(1).float().mean() - 0.3)
        < 0.04
    )


def test_coins_are_equal_within_a_batch_group():
    blank = (augmented("cutout", torch.ones(N, 3, 16, 16), group=8) == 0).flatten(1).any(1).view(-1, 8)
    assert torch.equal(blank.all(1), blank.any(1))
    assert 0.1 < blank.float().mean() < 0.5
    whole = (augmented("cutout", torch.ones(N, 3, 16, 16), group=0) == 0).flatten(1).any(1)
    assert whole.all() or not whole.any()


def test_color_is_brightness_saturation_and_contrast_in_their_ranges():
    grey = augmented("color", torch.full((N, 3, 4, 4), 0.25))
    shift = grey[:, 0, 0, 0] - 0.25
    assert torch.allclose(grey, grey[:, :1, :1, :1].expand_as(grey), atol=1e-6)
    assert shift.min() < -0.48
    assert shift.max() > 0.48
    assert shift.abs().max() <= 0.5
    images = torch.rand(N, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    result = augmented("color", images)
    # Brightness changes no deviations. Contrast scales those of the pixels' means; contrast and saturation together
    # scale those of the channels.
    contrast = deviation(result.mean(1)) / deviation(images.mean(1))
    both = deviation(result - result.mean(1, keepdim=True)) / deviation(images - images.mean(1, keepdim=True))
    saturation = both / contrast
    assert 0.5 <= contrast.min() < 0.52
    assert 1.48 < contrast.max() <= 1.5
    assert 0 <= saturation.min() < 0.02
    assert 1.98 < saturation.max() <= 2.0001
    np.testing.assert_allclose([contrast.mean(), saturation.mean()], 1, atol=0.05)


def deviation(images: torch.Tensor) -> torch.Tensor:
    return (images.flatten(1) - images.flatten(1).mean(1, keepdim=True)).norm(dim=1)


def test_hue_turns_colours_about_grey_with_probability_one_half():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(4 * N, 3, 2, 2)
    turned = augmented("hue", red)
    assert torch.allclose(turned.mean(1), red.mean(1), atol=1e-6)
    assert torch.allclose(turned.norm(dim=1), red.norm(dim=1), atol=1e-5)
    unchanged = (turned - red).flatten(1).abs().amax(1) < 1e-6
    assert abs(unchanged.float().mean() - 0.5) < 0.04
    pixel = turned[~unchanged, :, 0, 0]
    angle = torch.atan2((pixel[:, 1] - pixel[:, 2]) * math.sqrt(3) / 2, pixel[:, 0] - (pixel[:, 1] + pixel[:, 2]) / 2)
    assert torch.histc(angle, 8, -math.pi, math.pi).min() > 0.6 * len(angle) / 8
    third = augmented_with("hue", red[:1], [0.0, (2 * math.pi / 3 + math.pi) / (2 * math.pi)])
    assert torch.allclose(third[0, :, 0, 0], torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


def augmented_with(name: str, images: torch.Tensor, numbers: list[float]) -> torch.Tensor:
    return Augmentation([name], images.shape[2], 1.0)(images, torch.tensor([numbers]))


def test_filter_bank_splits_an_image_into_bands_that_add_up_to_it():
    bank = _filter_bank()
    assert bank.shape == (4, 43)
    delta = np.zeros(43)
    delta[21] = 1
    np.testing.assert_allclose(bank.sum(0), delta, atol=1e-12)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(bank.sum(1), [1, 0, 0, 0], atol=1e-12)  # only the lowest band passes a constant
    peaks = np.abs(np.fft.rfft(bank, 256)).argmax(1)
    assert (np.diff(peaks) > 0).all()


def test_filter_amplifies_bands_and_keeps_the_expected_power():
    images = torch.rand(N, 3, 32, 32, generator=torch.Generator().manual_seed(2)) - 0.5
    alone = augmented_with("filter", images[:1], [0.9] * 4 + [0.5] * 4)
    assert torch.allclose(alone, images[:1], atol=1e-5)
    amplified = augmented_with("filter", torch.ones(1, 3, 32, 32), [0.0, 0.9, 0.9, 0.9, 0.841345, 0.5, 0.5, 0.5])
    # Gain 2 on the lowest band, along both axes.
    assert torch.allclose(amplified, torch.tensor(4 / (1 + 10 / 13 * 3)), atol=1e-3)
    changed = (augmented("filter", images) - images).flatten(1).abs().amax(1) > 1e-4
    assert abs(changed.float().mean() - (1 - 0.75**4)) < 0.08
    with pytest.raises(UserError, match="at least 22 pixels"):
        Augmentation(["filter"], 16, 0.3)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_has_second_derivatives_and_works_on_any_rows(name):
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(3)).requires_grad_()
    augmentation = Augmentation([name, "translation"], 32, 0.5)
    numbers = augmentation.draw(RandomStreams(1), "test", 0, 1, 6, 2)[0]
    result = augmentation(images, numbers)
    assert torch.allclose(
        torch.cat([augmentation(images[:2], numbers[:2]), augmentation(images[2:], numbers[2:])]), result, atol=1e-6
    )
    (gradient,) = torch.autograd.grad(result.square().sum(), images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), images)
    assert torch.isfinite(second).all()
    assert second.abs().sum() > 0


def convolved(images: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """The filter as two convolutions along rows and columns, with a filter of its own for every image."""
    coins, gains = numbers.view(-1, 2, 4).unbind(1)
    gains = torch.where(coins < 0.25, torch.exp2(math.sqrt(2) * torch.erfinv(2 * gains - 1)), 1.0)
    power = torch.tensor([10, 1, 1, 1], dtype=torch.float64) / 13
    gains = gains / (1 + power * (gains.square() - 1)).sqrt().prod(1, keepdim=True)
    filters = (gains @ torch.from_numpy(_filter_bank())).repeat_interleave(3, 0)
    flat = F.pad(images.flatten(0, 1)[None], (21, 21, 21, 21), mode="reflect")
    flat = F.conv2d(flat, filters[:, None, None, :], groups=len(filters))
    return F.conv2d(flat, filters[:, None, :, None], groups=len(filters)).view_as(images)


def derivatives(function, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Values of a function of the images, its gradient, and the derivative of the gradient's square."""
    images = images.clone().requires_grad_()
    values = function(images)
    (gradient,) = torch.autograd.grad(values.pow(3).sum(), images, create_graph=True)
    return values, gradient, *torch.autograd.grad(gradient.square().sum(), images)


@pytest.mark.parametrize("side", [22, 64])
def test_filter_is_a_convolution_with_a_filter_of_its_own_for_every_image(side):
    filter_ = OPERATIONS["filter"]
    constants = [torch.from_numpy(array) for array in filter_.constants(side)]
    images, numbers = torch.randn(4, 3, side, side, dtype=torch.float64), torch.rand(4, 8, dtype=torch.float64)
    expected = derivatives(lambda x: convolved(x, numbers), images)
    assert (expected[0] - images).flatten(1).abs().amax(1).max() > 0.1  # the coins turned some of the bands on
    torch.testing.assert_close(
        derivatives(lambda x: filter_.apply(x, numbers, 0.3, *constants), images), expected, rtol=1e-10, atol=1e-10
    )


def test_a_filtered_penalty_computes_no_gradient_of_the_filters():
    """Torch's double backward of a grouped convolution does, group by group: hundreds of kernels a step."""
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    augmentation = Augmentation(["filter"], 32, 0.3)
    numbers = augmentation.draw(RandomStreams(1), "test", 0, 1, 2, 1)[0]
    with FlopCounterMode(display=False) as counter:
        (gradient,) = torch.autograd.grad(augmentation(images, numbers).pow(3).sum(), images, create_graph=True)
        gradient.square().sum().backward()
    assert {str(operator) for operator in counter.get_flop_counts()["Global"]} == {"aten.bmm"}
