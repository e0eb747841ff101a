"""The real pictures of every step: in a new order every epoch, resident on the device where they fit, else read ahead by threads.

The order is a permutation per epoch, keyed by the epoch alone; batches run on across the epochs' borders. So the pictures of a step follow
from its number, and nothing about the order needs saving.
"""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from transgan.data.pack import Pack
from transgan.hardware.device import send
from transgan.training.distributed.process_group import ProcessGroup
from transgan.utils.random import RandomStreams

AHEAD = 4
RESIDENT_BYTES_CPU = 2**30
RESIDENT_SHARE_GPU = 0.25
PIECE_BYTES = 2**26  # of pictures on their way to the device, where they stay


class ImageLoader:
    """Batches of real pictures (b, 3, H, W) in [-1, 1], this process's rows of every global batch. Close it to stop its threads."""

    def __init__(
        self,
        pack: Pack,
        splits: tuple[str, ...],
        batch: int,
        flip: bool,
        streams: RandomStreams,
        process_group: ProcessGroup,
        resident: bool | None = None,
    ) -> None:
        """`resident` None: decided by the size of the pictures and the device's memory."""
        self._pack = pack
        self._rows = pack.rows(splits)
        self._batch = batch
        self._flip = flip
        self._streams = streams
        self._order_streams = RandomStreams(streams.seed)  # the order does not depend on the device
        self._device = streams.device
        self._local = process_group.rows(batch)
        self._orders: OrderedDict[int, np.ndarray] = OrderedDict()
        self._pictures: Tensor | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: dict[int, Future[Tensor]] = {}
        picture_bytes = len(self._rows) * int(np.prod(pack.images.shape[1:]))
        if resident if resident is not None else picture_bytes <= _room(self._device):
            self._pictures = self._resident()
        else:
            self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="pictures")

    def batch(self, step: int) -> Tensor:
        """The real pictures of discriminator step `step`, mirrored with probability 1/2 where the recipe says so."""
        images = self._read(step).float() / 127.5 - 1
        if self._flip:
            mirrored = self._streams.uniform("d/flip", step, self._batch)[self._local] < 0.5
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
        return images

    def close(self) -> None:
        """Stop reading ahead."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def positions(self, step: int) -> np.ndarray:
        """Which pictures of the splits, (b,), this process shows in step `step`."""
        start = step * self._batch
        shown = np.arange(start + self._local.start, start + self._local.stop)
        epochs, within = np.divmod(shown, len(self._rows))
        positions = np.empty_like(shown)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            positions[here] = self._order(int(epoch))[within[here]]
        return positions

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders[epoch] = self._order_streams.permutation("order", epoch, len(self._rows)).numpy()
            if len(self._orders) > 2:
                self._orders.popitem(last=False)
        return self._orders[epoch]

    def _read(self, step: int) -> Tensor:
        """uint8 (b, 3, H, W) on the device."""
        if self._pictures is not None:
            return self._pictures[send(torch.from_numpy(self.positions(step)), self._device)]
        for ahead in range(step, step + AHEAD + 1):
            if ahead not in self._waiting:
                self._waiting[ahead] = self._start(ahead)
        for passed in [other for other in self._waiting if other < step]:
            del self._waiting[passed]
        return send(self._waiting.pop(step).result(), self._device).permute(0, 3, 1, 2)

    def _start(self, step: int) -> "Future[Tensor]":
        assert self._pool is not None
        rows = self._rows[self.positions(step)]

        def read() -> Tensor:
            pictures = torch.from_numpy(self._pack.read(rows))
            return pictures.pin_memory() if self._device.type == "cuda" else pictures

        return self._pool.submit(read)

    def _resident(self) -> Tensor:
        """All pictures of the splits on the device, uint8 (N, 3, H, W), sent in pieces: beside them the host needs memory for one."""
        height, width, channels = self._pack.images.shape[1:]
        pictures = torch.empty(len(self._rows), channels, height, width, dtype=torch.uint8, device=self._device)
        piece = max(1, PIECE_BYTES // (height * width * channels))
        for start in range(0, len(pictures), piece):
            part = torch.from_numpy(self._pack.read(self._rows[start : start + piece]))
            pictures[start : start + piece] = part.to(self._device).permute(0, 3, 1, 2)
        return pictures


def _room(device: torch.device) -> int:
    """Bytes of pictures that may stay on the device."""
    if device.type != "cuda":
        return RESIDENT_BYTES_CPU
    return int(torch.cuda.mem_get_info(device)[0] * RESIDENT_SHARE_GPU)
