"""The digit classifier, which replaces Inception at the demo scale: network, training and loading."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.schema import ClassifierConfig
from transgan.utils.random import RandomStreams


@dataclass(frozen=True)
class LabelledImages:
    """Images uint8 (N, 3, H, W) and their labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def from_arrays(cls, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> "LabelledImages":
        """From a pack's arrays: images (N, H, W, 3), labels (N,)."""
        return cls(
            torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(np.array(labels))
        )


class DigitNet(nn.Module):
    """Two convolutions, a pooled 4 x 4 map, dropout, a hidden layer of `features` units, and logits of `classes`."""

    def __init__(self, resolution: int, width: int, features: int, classes: int) -> None:
        super().__init__()
        self.resolution, self.classes = resolution, classes
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.Linear(2 * width * 16, features),
            nn.ReLU(),
        )
        self.head = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, features) and logits (N, classes) of uint8 images (N, 3, H, W), resized to its resolution."""
        pixels = images.float() / 127.5 - 1
        if pixels.shape[-2:] != (self.resolution, self.resolution):
            pixels = F.interpolate(pixels, (self.resolution, self.resolution), mode="bilinear", antialias=True)
        features = self.body(pixels)
        return features, self.head(features)


def train(config: ClassifierConfig, data: LabelledImages) -> DigitNet:
    """Train with Adam, a linearly decreasing learning rate and shifts by up to one pixel.

    The same configuration and data give the same weights on a CPU. PyTorch's global random state does not change.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # for the initial weights and for dropout
        net = DigitNet(data.images.shape[-1], config.width, config.features, int(data.labels.max()) + 1)
        return _train_epochs(net, config, data).eval()


def _train_epochs(net: DigitNet, config: ClassifierConfig, data: LabelledImages) -> DigitNet:
    streams = RandomStreams(config.seed)
    # Not fused, Adam calls torch.sqrt, whose last bit depends on the processor (see transgan.utils.square_root).
    optimizer = torch.optim.Adam(net.parameters(), config.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, config.epochs)
    for epoch in range(config.epochs):
        order = streams.permutation("order", epoch, len(data.labels))
        shifts = (streams.uniform("shift", epoch, len(order), 2) * 3).long() - 1
        for start in range(0, len(order), config.batch):
            rows = order[start : start + config.batch]
            _, logits = net(_shift(data.images[rows], shifts[rows]))
            loss = F.cross_entropy(logits, data.labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        schedule.step()
    return net


@torch.no_grad()
def accuracy(net: DigitNet, data: LabelledImages) -> float:
    """Share of the images for which the label has the highest logit."""
    correct = (net(data.images)[1].argmax(1) == data.labels).sum()
    return int(correct) / len(data.labels)


def load(path: Path) -> DigitNet:
    """The classifier saved in `path`, in evaluation mode on the CPU.

    Raises UserError when the file is missing or damaged, or holds no weights because the scale needs none (see
    scoring/classifier.py).
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; create it with `{_command(path)}`")
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("transgan", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not isinstance(metadata, dict):
        raise _damaged(path, "its metadata are no object")
    if not metadata.get("needed"):
        raise UserError(
            f"{path}: {metadata.get('why', 'not a classifier saved by this project')}; "
            "a protocol with `extractor: digits` needs a trained one"
        )
    try:
        with torch.device("meta"):  # takes no memory for what the metadata claim
            net = DigitNet(metadata["resolution"], metadata["width"], metadata["features"], metadata["classes"])
        net.load_state_dict(tensors, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise _damaged(path, error) from error
    return net.eval().requires_grad_(False)


def _damaged(path: Path, reason: object) -> UserError:
    return UserError(
        f"{path}: damaged ({' '.join(str(reason).split())[:200]});"
        f" delete it and create it again with `{_command(path)}`"
    )


def _command(path: Path) -> str:
    """The command that writes the classifier in results/<scale>/classifiers/<name>.safetensors."""
    scale = ("--scale", path.parent.parent.name) if path.parent.name == "classifiers" else ()
    return shlex.join(("transgan", "classifier", path.stem, *scale))


def _shift(images: Tensor, shifts: Tensor) -> Tensor:
    """Every image (N, 3, S, S) moved by its (dy, dx) in {-1, 0, 1}, shifts (N, 2); the free border becomes black."""
    side = images.shape[-1]
    padded = F.pad(images, (1, 1, 1, 1))
    steps = torch.arange(side)
    y = (1 + shifts[:, 0, None] + steps)[:, None, :, None]  # (N, 1, S, 1)
    x = (1 + shifts[:, 1, None] + steps)[:, None, None, :]  # (N, 1, 1, S)
    image = torch.arange(len(images))[:, None, None, None]
    channel = torch.arange(3)[None, :, None, None]
    return padded[image, channel, y, x]
