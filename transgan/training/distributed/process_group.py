"""The processes of one run: each handles some rows of the global batch, and their gradients are summed.

A loss is a sum over images divided by the size of the global batch, so the gradients of all processes add up to that of
the whole batch. They are summed in one flat buffer after the last backward pass of a step. DistributedDataParallel is
not used: its hooks support neither a gradient that stays in D from one step to the next nor torch.func.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from transgan.utils import torch_private

# How long a process waits for another one. The main process alone writes checkpoints and scores snapshots, while the
# others wait. If a process has died, launch.py and torchrun end the others much earlier.
TIMEOUT = timedelta(hours=6)


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those of its run. By default it is the only one, and torch.distributed is not needed."""

    rank: int = 0
    world_size: int = 1
    control: Any = None  # a gloo group for small messages between the hosts, whatever the devices use

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and logs messages."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """The rows of a global batch of `batch` images that this process handles."""
        return slice(self.rank * batch // self.world_size, (self.rank + 1) * batch // self.world_size)

    def all_reduce_sum(self, tensors: list[Tensor]) -> None:
        """Replace every tensor by its sum over all processes, in place."""
        if self.world_size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        sums = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch_private.copy_(tensors, [part.view_as(tensor) for part, tensor in zip(sums, tensors, strict=True)])

    def all_gather_rows(self, local: Tensor) -> Tensor:
        """The rows of all processes, concatenated in the order of ranks."""
        if self.world_size == 1:
            return local
        parts = [torch.empty_like(local) for _ in range(self.world_size)]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    def all_reduce_max(self, value: int) -> int:
        """The largest `value` of all processes; also waits for all of them."""
        if self.world_size == 1:
            return value
        message = torch.tensor([value])
        dist.all_reduce(message, dist.ReduceOp.MAX, group=self.control)
        return int(message)

    def all_gather_object(self, value: str) -> list[str]:
        """The `value` of every process, in the order of ranks."""
        values = [value] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(values, value, group=self.control)
        return values

    def close(self) -> None:
        """Leave the process group."""
        if self.world_size > 1:
            dist.destroy_process_group()


def init_process_group(device_type: str) -> ProcessGroup:
    """Join the other processes of the run, as WORLD_SIZE, RANK and MASTER_ADDR say; without them, a single process."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return ProcessGroup()
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=TIMEOUT)
    return ProcessGroup(dist.get_rank(), world_size, dist.new_group(backend="gloo", timeout=TIMEOUT))
