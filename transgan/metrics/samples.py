"""Images of a generator: uint8 samples for evaluation, streamed in batches, and images of given latents.

The random numbers of an image follow from the evaluation seed and the image's index alone. Image i of a seed is
therefore the same for every batch size, number of samples and device.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.hardware.device import send
from transgan.utils.random import RandomStreams

Quantization = Literal["truncate", "round"]


def generate(
    generator: nn.Module, seed: int, start: int, stop: int, batch: int, device: torch.device
) -> Iterator[Tensor]:
    """Images start ... stop-1 of an evaluation seed, in batches: float (B, 3, H, W) on `device`, about [-1, 1].

    Raises UserError when an image is not finite, but only after the last batch: an earlier check would stall a GPU.
    """
    module = generator.to(device).eval()
    streams = RandomStreams(seed)  # random numbers come from the CPU, so that every device generates the same images
    latent, noise_width = int(module.latent), int(module.noise_width)  # type: ignore[arg-type]
    finite = torch.ones((), dtype=torch.bool, device=device)
    for first in range(start, stop, batch):
        last = min(first + batch, stop)
        z = send(streams.normal_rows("evaluation latent", first, last, latent), device)
        noise = _noise(streams, first, last, noise_width, device) if noise_width else None
        with torch.inference_mode():
            images: Tensor = module(z, noise=noise)
        finite = finite & torch.isfinite(images).all()
        yield images
    if not bool(finite):
        raise UserError(
            f"the generator's images of evaluation seed {seed} are not all finite: it has diverged; train it again"
        )


def quantize(images: Tensor, quantization: Quantization = "truncate") -> Tensor:
    """[-1, 1] -> uint8 [0, 255]: (x + 1) * 127.5, clamped, then truncated (as in the paper's evaluation) or rounded."""
    scaled = ((images.float() + 1) * 127.5).clamp(0, 255)
    return (scaled.round() if quantization == "round" else scaled).to(torch.uint8)


def uint8_samples(
    generator: nn.Module, seed: int, count: int, batch: int, quantization: Quantization, device: torch.device
) -> Iterator[Tensor]:
    """The first `count` images of an evaluation seed as uint8 (B, 3, H, W) on `device`."""
    for images in generate(generator, seed, 0, count, batch, device):
        yield quantize(images, quantization)


@torch.no_grad()
def images_of_latents(generator: nn.Module, z: Tensor, noise: Tensor | None, batch: int = 16) -> NDArray[np.uint8]:
    """The generator's images of latents (N, latent) and noise (N, noise_width), truncated to uint8: (N, H, W, 3)."""
    chunks: list[NDArray[np.uint8]] = []
    for start in range(0, len(z), batch):
        rows = slice(start, start + batch)
        chunks.append(to_numpy(quantize(generator(z[rows], None if noise is None else noise[rows]))))
    return np.concatenate(chunks)


def to_numpy(images: Tensor) -> NDArray[np.uint8]:
    """uint8 images (B, 3, H, W) on any device -> array (B, H, W, 3)."""
    array: NDArray[np.uint8] = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


def _noise(streams: RandomStreams, start: int, stop: int, width: int, device: torch.device) -> Tensor:
    # One stream per image: a row holds numbers for all tokens of all blocks, too many to generate whole blocks of rows.
    return send(torch.cat([streams.normal("evaluation noise", i, 1, width) for i in range(start, stop)]), device)
