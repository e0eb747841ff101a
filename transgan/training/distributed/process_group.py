"""The processes of one run: who handles which rows of the global batch, and how their gradients become one.

Losses are sums over pictures divided by the global batch, so gradients of all processes add up to the gradient of the whole batch. They are
summed in one flat buffer after the last backward pass of a step rather than by DistributedDataParallel, whose hooks allow neither a
gradient that stays in D between two nets' steps nor one taken through torch.func.
"""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class ProcessGroup:
    """This process among all of a run. One process alone needs no process group."""

    rank: int = 0
    world_size: int = 1
    control: Any = None  # a gloo group for small messages between the hosts, whatever the devices use

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """The rows of a global batch that this process handles."""
        return slice(self.rank * batch // self.world_size, (self.rank + 1) * batch // self.world_size)

    def all_reduce_sum(self, tensors: list[Tensor]) -> None:
        """Replace every tensor by its sum over all processes, in place."""
        if self.world_size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)])

    def all_gather_rows(self, local: Tensor) -> Tensor:
        """Rows of all processes one after the other."""
        if self.world_size == 1:
            return local
        pieces = [torch.empty_like(local) for _ in range(self.world_size)]
        dist.all_gather(pieces, local.contiguous())
        return torch.cat(pieces)

    def all_reduce_max(self, value: int) -> int:
        """The largest `value` of all processes, on all of them."""
        if self.world_size == 1:
            return value
        message = torch.tensor([value])
        dist.all_reduce(message, dist.ReduceOp.MAX, group=self.control)
        return int(message)

    def all_gather_object(self, value: str) -> list[str]:
        """The `value` of every process, on all of them."""
        found = [value] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(found, value, group=self.control)
        return found

    def close(self) -> None:
        """Leave the process group."""
        if self.world_size > 1:
            dist.destroy_process_group()


def init_process_group(device_type: str) -> ProcessGroup:
    """Join the processes that torchrun started (environment variables WORLD_SIZE, RANK, LOCAL_RANK), if it did."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ProcessGroup()
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
    return ProcessGroup(dist.get_rank(), count, dist.new_group(backend="gloo"))
