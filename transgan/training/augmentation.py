"""Differentiable augmentation of all images that D sees (section 3.3 of the paper; details: docs/paper.md 3.3).

Every operation is a function of the images (B, 3, H, W) in [-1, 1], where 0 is mid grey, and of uniform numbers, and
works on a whole batch at once. The same numbers give the same result, whatever the devices or the micro-batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from transgan.errors import UserError
from transgan.utils.random import RandomStreams
from transgan.utils.square_root import sqrt

# Scaling filter of the sym2 wavelet, from which ADA builds its image filtering.
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
FILTER_PROBABILITY = 0.25
HUE_PROBABILITY = 0.5
# Share of a natural image's power in each of the four frequency bands, lowest first.
EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)

# (images, uniform numbers (B, columns), probability of a coin, *constants) -> images
Apply = Callable[..., Tensor]


@dataclass(frozen=True)
class Operation:
    """An operation and the uniform numbers that it takes."""

    image: int  # numbers per image: the first columns
    group: int  # numbers per batch group: the last columns
    apply: Apply
    # Further arguments, by the images' side. They stay on the device: a step that sent them would wait for it.
    constants: Callable[[int], tuple[np.ndarray, ...]] = lambda side: ()


class Augmentation:
    """The operations of a recipe, in order."""

    def __init__(self, names: Sequence[str], side: int, probability: float, device: torch.device | str = "cpu") -> None:
        """`side`: of the images, in pixels; `probability`: of the coins. Raises UserError for too small images."""
        smallest = _filter_bank().shape[1] // 2 + 1  # reflection padding needs more pixels than it adds
        if "filter" in names and side < smallest:
            raise UserError(
                f"recipe.augment: `filter` needs images of at least {smallest} pixels, these have {side}; leave it out"
            )
        self.operations = [OPERATIONS[name] for name in names]
        self._constants = [
            tuple(torch.tensor(array, dtype=torch.float32, device=device) for array in operation.constants(side))
            for operation in self.operations
        ]
        self.probability = probability
        self.image = sum(operation.image for operation in self.operations)
        self.group = sum(operation.group for operation in self.operations)

    def draw(self, streams: RandomStreams, name: str, step: int, copies: int, batch: int, group: int) -> Tensor | None:
        """Uniform numbers (copies, batch, columns) for `copies` global batches of images.

        The group columns are equal within every `group` consecutive images; 0: within the batch.
        """
        if not self.operations:
            return None
        image = streams.uniform(name, step, copies * batch, self.image).view(copies, batch, self.image)
        if not self.group:
            return image
        groups = batch // (group or batch)
        shared = streams.uniform(f"{name}/group", step, copies * groups, self.group).view(copies, groups, self.group)
        return torch.cat([image, shared.repeat_interleave(batch // groups, 1)], 2)

    def __call__(self, images: Tensor, numbers: Tensor | None) -> Tensor:
        """The augmented images (B, 3, H, W), with rows of `numbers` from `draw`. In float32, also under autocast."""
        if numbers is None:
            return images
        image_column, group_column = 0, self.image
        with torch.autocast(images.device.type, enabled=False):
            for operation, constants in zip(self.operations, self._constants, strict=True):
                own = numbers[:, image_column : image_column + operation.image]
                shared = numbers[:, group_column : group_column + operation.group]
                images = operation.apply(
                    images, torch.cat([own, shared], 1) if operation.group else own, self.probability, *constants
                )
                image_column += operation.image
                group_column += operation.group
        return images


def _integers(numbers: Tensor, low: int, high: int) -> Tensor:
    """Uniform numbers in [0, 1) as integers low ... high, both included."""
    return (numbers * (high - low + 1)).floor().long().clamp(max=high - low) + low


def _translate(ratio: float) -> Apply:
    def apply(images: Tensor, numbers: Tensor, _: float) -> Tensor:
        height, width = images.shape[2:]
        y = torch.arange(height, device=images.device) + _integers(
            numbers[:, :1], -_reach(height, ratio), _reach(height, ratio)
        )
        x = torch.arange(width, device=images.device) + _integers(
            numbers[:, 1:2], -_reach(width, ratio), _reach(width, ratio)
        )
        # One gather from the flattened image, which has one more element, 0, for positions outside.
        inside = ((y >= 0) & (y < height)).unsqueeze(2) & ((x >= 0) & (x < width)).unsqueeze(1)
        index = torch.where(inside, y.unsqueeze(2) * width + x.unsqueeze(1), height * width).flatten(1)
        padded = F.pad(images.flatten(2), (0, 1))
        return padded.gather(2, index.unsqueeze(1).expand(-1, images.shape[1], -1)).view_as(images)

    return apply


def _reach(side: int, ratio: float) -> int:
    return int(side * ratio + 0.5)


def _outside(images: Tensor, centres: Tensor, height: Tensor | int, width: Tensor | int) -> Tensor:
    """0 inside a rectangle of `height` x `width` pixels, clipped at the borders, and 1 outside: (B, 1, H, W).

    `centres` (B, 2): uniform numbers for the centre of every image's rectangle.
    """
    inside = []
    for side, size, number in ((images.shape[2], height, centres[:, :1]), (images.shape[3], width, centres[:, 1:2])):
        # For an even size there is one centre more than pixels, so that it reaches both borders equally far.
        centre = ((number * (side + 1 - size % 2)).floor()).clamp(max=side)
        position = torch.arange(side, device=images.device) - centre + size // 2
        inside.append((position >= 0) & (position < size))
    return (~(inside[0].unsqueeze(2) & inside[1].unsqueeze(1))).unsqueeze(1).to(images.dtype)


def _cutout(images: Tensor, numbers: Tensor, probability: float) -> Tensor:
    """Set a square of half the side to 0. Numbers: centre (2); coin of the group."""
    kept = _outside(images, numbers[:, :2], *(_reach(side, 0.5) for side in images.shape[2:]))
    return images * torch.where(numbers[:, 2].view(-1, 1, 1, 1) < probability, kept, 1.0)


def _diffaug_cutout(images: Tensor, numbers: Tensor, _: float) -> Tensor:
    """DiffAug's own cutout: the same square, always. Numbers: centre (2)."""
    return images * _outside(images, numbers[:, :2], *(_reach(side, 0.5) for side in images.shape[2:]))


def _erase(bounds: Callable[[int], tuple[int, int]]) -> Apply:
    """Set a rectangle to 0. Numbers: centre (2); coin, height and width of the group.

    `bounds(side)` gives the smallest and the largest side of the rectangle.
    """

    def apply(images: Tensor, numbers: Tensor, probability: float) -> Tensor:
        height, width = (_integers(numbers[:, 3 + axis : 4 + axis], *bounds(images.shape[2 + axis])) for axis in (0, 1))
        kept = _outside(images, numbers[:, :2], height, width)
        return images * torch.where(numbers[:, 2].view(-1, 1, 1, 1) < probability, kept, 1.0)

    return apply


def _color(images: Tensor, numbers: Tensor, _: float) -> Tensor:
    """Brightness + U(-0.5, 0.5), saturation * U(0, 2) and contrast * U(0.5, 1.5), always. Numbers: one for each."""
    brightness, saturation, contrast = numbers.view(-1, 3, 1, 1, 1).unbind(1)
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = grey.mean((2, 3), keepdim=True)  # saturation does not change the mean of a pixel
    return mean + (images - mean) * (contrast + 0.5)


def _hue(images: Tensor, numbers: Tensor, _: float) -> Tensor:
    """Rotate the colours by U(-pi, pi) about the grey axis, with HUE_PROBABILITY per image. Numbers: coin, angle."""
    coin, angle = numbers.view(-1, 2, 1, 1, 1).unbind(1)
    angle = torch.where(coin < HUE_PROBABILITY, (2 * angle - 1) * math.pi, 0.0)
    # Rodrigues' rotation formula.
    across = (images.roll(1, 1) - images.roll(-1, 1)) / math.sqrt(3)
    return images * angle.cos() + across * angle.sin() + images.mean(1, keepdim=True) * (1 - angle.cos())


def _filter(images: Tensor, numbers: Tensor, _: float, power: Tensor, bands: Tensor) -> Tensor:
    """Amplify each of four frequency bands by 2^N(0, 1), with FILTER_PROBABILITY. Numbers: coins (4), gains (4).

    Each image is multiplied by a matrix of its own from both sides. A convolution with a filter per image would be a
    grouped one, whose double backward in eager mode computes a gradient of the filters, group by group.
    """
    coins, gains = numbers.view(-1, 2, 4).unbind(1)
    normal = math.sqrt(2) * torch.erfinv((2 * gains - 1).clamp(-0.999999, 0.999999))
    gains = torch.where(coins < FILTER_PROBABILITY, torch.exp2(normal), 1.0)
    # Divide by the root of the power that amplifying each band alone would give, so that the expected power stays.
    gains = gains / sqrt(1 + power * (gains.square() - 1)).prod(1, keepdim=True)
    matrix = torch.einsum("bk,kij->bij", gains, bands).unsqueeze(1)
    return matrix @ images @ matrix.mT


_BANK: list[np.ndarray] = []


def _filter_bank() -> np.ndarray:
    """Taps (4, 43) of the octave bands of the sym2 half-band filters, lowest first. They add up to the identity."""
    if not _BANK:
        low = np.array(SYM2)
        high = low * np.array([1, -1, 1, -1])
        low_pass, high_pass = (np.convolve(taps, taps[::-1]) / 2 for taps in (low, high))
        bank = np.array([[1.0], [0.0], [0.0], [0.0]])
        for band in range(1, 4):
            stretched = np.zeros((4, 2 * bank.shape[1] - 1))
            stretched[:, ::2] = bank
            bank = np.stack([np.convolve(row, low_pass) for row in stretched])
            start = (bank.shape[1] - len(high_pass)) // 2
            bank[band, start : start + len(high_pass)] += high_pass
        _BANK.append(bank)
    return _BANK[0]


def _filter_matrices(side: int) -> np.ndarray:
    """The filters of the bank as matrices (4, side, side) over the pixels of a row, which is reflected at its ends."""
    bank = _filter_bank()
    taps = bank.shape[1]
    padded = np.pad(np.eye(side), ((taps // 2, taps // 2), (0, 0)), mode="reflect")
    return np.tensordot(bank, np.stack([padded[k : k + side] for k in range(taps)]), 1)


# By name in `recipe.augment`.
OPERATIONS: dict[str, Operation] = {
    "translation": Operation(2, 0, _translate(0.2)),
    "cutout": Operation(2, 1, _cutout),
    "color": Operation(3, 0, _color),
    "erase_ratio": Operation(2, 3, _erase(lambda side: (int(0.2 * side), int(0.7 * side)))),
    "stl_erase_ratio": Operation(2, 3, _erase(lambda side: (20, side // 2 + 20))),
    "filter": Operation(8, 0, _filter, lambda side: (np.array(EXPECTED_POWER), _filter_matrices(side))),
    "hue": Operation(2, 0, _hue),
    "diffaug_translation": Operation(2, 0, _translate(0.125)),
    "diffaug_cutout": Operation(2, 0, _diffaug_cutout),
    "diffaug_color": Operation(3, 0, _color),
}
