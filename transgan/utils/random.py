"""Random numbers derived from a seed, a name and a step, with no state to save.

A resumed run therefore gets the same numbers as an uninterrupted one. Numbers are generated for the whole global
batch (or a whole block of images) and then sliced, so row i does not depend on devices, gradient accumulation or
batching.
"""

import hashlib

import torch
from torch import Tensor

BLOCK = 256


class RandomStreams:
    """Named random streams of one seed. Same seed, same machine, same kind of device: same numbers.

    On CPUs the numbers are the same on every processor with AVX2 if instructions are limited to it.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.seed = seed
        self.device = torch.device(device)

    def generator(self, name: str, step: int) -> torch.Generator:
        """A torch.Generator seeded for one step of the stream `name`."""
        key = hashlib.sha256(f"{self.seed}/{name}/{step}".encode()).digest()
        return torch.Generator(self.device).manual_seed(int.from_bytes(key[:8], "little") >> 1)

    def normal(self, name: str, step: int, *shape: int) -> Tensor:
        """Standard normal numbers of `shape`; the first dimension is the global batch."""
        return torch.randn(shape, generator=self.generator(name, step), device=self.device)

    def uniform(self, name: str, step: int, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1) of `shape`; the first dimension is the global batch (or its groups)."""
        return torch.rand(shape, generator=self.generator(name, step), device=self.device)

    def permutation(self, name: str, step: int, length: int) -> Tensor:
        """A permutation of 0 ... length-1."""
        return torch.randperm(length, generator=self.generator(name, step), device=self.device)

    def normal_rows(self, name: str, start: int, stop: int, width: int) -> Tensor:
        """Rows start ... stop-1 of an endless (images, width) table of standard normal numbers.

        Row i depends on i alone.
        """
        blocks = [self.normal(name, block, BLOCK, width) for block in range(start // BLOCK, -(-stop // BLOCK))]
        offset = start // BLOCK * BLOCK
        return torch.cat(blocks)[start - offset : stop - offset]
