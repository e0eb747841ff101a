"""Samples: pictures of a generator as the protocols want them, streamed in batches, never all in memory.

Latents and noise are drawn per picture, so picture i of a seed is the same whatever the batch, the number of pictures or the device.
"""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.hardware.device import send
from transgan.metrics.evaluator import Source
from transgan.schema import ProtocolConfig
from transgan.utils.random import RandomStreams

Quantize = Literal["truncate", "round"]


def generate(
    generator: nn.Module, seed: int, start: int, stop: int, batch: int, device: torch.device
) -> Iterator[Tensor]:
    """Pictures start ... stop-1 of an evaluation seed, in batches: float (B, 3, H, W) on `device`, about [-1, 1], unbounded.

    Raises UserError when a picture is not finite, after the last batch: asking sooner would stall a GPU.
    """
    module = generator.to(device).eval()
    streams = RandomStreams(seed)  # drawn on the CPU: the same picture on every device
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
            f"the generator's pictures of evaluation seed {seed} are not all finite: it has diverged; train it again"
        )


def quantized(images: Tensor, quantize: Quantize) -> Tensor:
    """[-1, 1] -> uint8 [0, 255]: scaled by (x + 1) * 127.5, clamped, then truncated (as the paper's evaluation does) or rounded."""
    scaled = ((images.float() + 1) * 127.5).clamp(0, 255)
    return (scaled.round() if quantize == "round" else scaled).to(torch.uint8)


def uint8_samples(
    generator: nn.Module, seed: int, count: int, batch: int, quantize: Quantize, device: torch.device
) -> Iterator[Tensor]:
    """The first `count` pictures of an evaluation seed as uint8 (B, 3, H, W) on `device`."""
    for images in generate(generator, seed, 0, count, batch, device):
        yield quantized(images, quantize)


def sources(generator: nn.Module, protocol: ProtocolConfig) -> list[Source]:
    """The protocol's samples of a generator: one source per evaluation seed."""
    count, batch, quantize = protocol.samples, protocol.batch, protocol.quantize
    return [
        Source(f"evaluation seed {seed}", count, partial(uint8_samples, generator, seed, count, batch, quantize))
        for seed in protocol.seeds
    ]


def _noise(streams: RandomStreams, start: int, stop: int, width: int, device: torch.device) -> Tensor:
    # one stream per picture: rows are too wide (all tokens of all blocks) for whole blocks of the endless table
    return send(torch.cat([streams.normal("evaluation noise", i, 1, width) for i in range(start, stop)]), device)
