"""The digit classifier's net and its training, apart from the stage that keeps it (classifier.py)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from transgan.schema import ClassifierConfig
from transgan.utils.random import RandomStreams


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures: images uint8 (N, 3, H, W), labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> "Pictures":
        """From a pack's arrays: images (N, H, W, 3), labels (N,)."""
        return cls(
            torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(np.array(labels))
        )


class DigitNet(nn.Module):
    """Two convolutions, a pooled 4 x 4 map, dropout, a hidden layer of `features` and the logits of `classes`."""

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
        """Features (N, features) and logits (N, classes) of uint8 images (N, 3, H, W), resized to the net's resolution if they have another."""
        pixels = images.float() / 127.5 - 1
        if pixels.shape[-2:] != (self.resolution, self.resolution):
            pixels = F.interpolate(pixels, (self.resolution, self.resolution), mode="bilinear", antialias=True)
        features = self.body(pixels)
        return features, self.head(features)


def train(config: ClassifierConfig, data: Pictures) -> DigitNet:
    """Train with Adam, a linearly falling rate and shifts by up to one pixel; the same configuration and data give the same bytes on a CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # of the initial weights and of dropout
        return _fitted(
            DigitNet(data.images.shape[-1], config.width, config.features, int(data.labels.max()) + 1), config, data
        ).eval()


def _fitted(net: DigitNet, config: ClassifierConfig, data: Pictures) -> DigitNet:
    streams = RandomStreams(config.seed)
    optimizer = torch.optim.Adam(net.parameters(), config.lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, config.epochs)
    for epoch in range(config.epochs):
        order = streams.permutation("order", epoch, len(data.labels))
        shifts = (streams.uniform("shift", epoch, len(order), 2) * 3).long() - 1
        for start in range(0, len(order), config.batch):
            rows = order[start : start + config.batch]
            _, logits = net(_shifted(data.images[rows], shifts[rows]))
            loss = F.cross_entropy(logits, data.labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        schedule.step()
    return net


@torch.no_grad()
def accuracy(net: DigitNet, data: Pictures) -> float:
    """Share of pictures whose label the net gives the highest logit."""
    right = (net(data.images)[1].argmax(1) == data.labels).sum()
    return int(right) / len(data.labels)


def _shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """Every picture moved by its (dy, dx) in -1, 0, 1, with black coming in."""
    side = images.shape[-1]
    padded = F.pad(images, (1, 1, 1, 1))
    steps = torch.arange(side)
    y = (1 + shifts[:, 0, None] + steps)[:, None, :, None]
    x = (1 + shifts[:, 1, None] + steps)[:, None, None, :]
    picture = torch.arange(len(images))[:, None, None, None]
    channel = torch.arange(3)[None, :, None, None]
    return padded[picture, channel, y, x]
