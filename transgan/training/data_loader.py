"""Loads the real images of every training step, in a new order every epoch.

Images that fit stay on the device; otherwise threads read them ahead. Each epoch has a permutation that depends on the
seed and the epoch alone, and batches continue from one epoch into the next. The images of a step therefore follow from
its number, and checkpoints need not store a position.
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

AHEAD = 4  # batches that are read ahead
# The images stay on the device up to this size, or up to this share of a GPU's free memory.
RESIDENT_BYTES_CPU = 2**30
RESIDENT_SHARE_GPU = 0.25
CHUNK_BYTES = 2**26  # of images sent to the device at once


class ImageLoader:
    """This process's rows of every global batch of real images. Call `close` to stop its threads."""

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
        """`resident`: whether the images stay on the device; None decides by their size and the device's memory."""
        self._pack = pack
        self._rows = pack.rows(splits)
        self._batch = batch
        self._flip = flip
        self._streams = streams
        self._order_streams = RandomStreams(streams.seed)  # the order does not depend on the device
        self._device = streams.device
        self._local = process_group.rows(batch)
        self._orders: OrderedDict[int, np.ndarray] = OrderedDict()
        self._images: Tensor | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: dict[int, Future[Tensor]] = {}
        if resident is None:
            resident = len(self._rows) * int(np.prod(pack.images.shape[1:])) <= _resident_bytes(self._device)
        if resident:
            self._images = self._resident_images()
        else:
            self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="images")

    def batch(self, step: int) -> Tensor:
        """The real images of discriminator step `step`: float32 (b, 3, H, W) in [-1, 1].

        With `flip`, each is mirrored horizontally with probability 1/2.
        """
        images = self._read(step).float() / 127.5 - 1
        if self._flip:
            mirrored = self._streams.uniform("d/flip", step, self._batch)[self._local] < 0.5
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
        return images

    def close(self) -> None:
        """Stop the threads that read ahead."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def positions(self, step: int) -> np.ndarray:
        """Indices, among the images of the splits, of this process's images in step `step`: (b,)."""
        start = step * self._batch
        shown = np.arange(start + self._local.start, start + self._local.stop)
        epochs, within = np.divmod(shown, len(self._rows))
        positions = np.empty_like(shown)
        for epoch in np.unique(epochs):
            in_epoch = epochs == epoch
            positions[in_epoch] = self._order(int(epoch))[within[in_epoch]]
        return positions

    def _order(self, epoch: int) -> np.ndarray:
        """The permutation of an epoch. Those of the last two epochs are stored."""
        if epoch not in self._orders:
            self._orders[epoch] = self._order_streams.permutation("order", epoch, len(self._rows)).numpy()
            if len(self._orders) > 2:
                self._orders.popitem(last=False)
        return self._orders[epoch]

    def _read(self, step: int) -> Tensor:
        """The images of a step on the device, uint8 (b, 3, H, W)."""
        if self._images is not None:
            return self._images[send(torch.from_numpy(self.positions(step)), self._device)]
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
            images = torch.from_numpy(self._pack.read(rows))
            return images.pin_memory() if self._device.type == "cuda" else images

        return self._pool.submit(read)

    def _resident_images(self) -> Tensor:
        """All images of the splits on the device, uint8 (N, 3, H, W).

        They are sent in chunks, so the host needs memory for one chunk and not for a second copy of all.
        """
        height, width, channels = self._pack.images.shape[1:]
        images = torch.empty(len(self._rows), channels, height, width, dtype=torch.uint8, device=self._device)
        size = max(1, CHUNK_BYTES // (height * width * channels))
        for start in range(0, len(images), size):
            chunk = torch.from_numpy(self._pack.read(self._rows[start : start + size]))
            images[start : start + size] = chunk.to(self._device).permute(0, 3, 1, 2)
        return images


def _resident_bytes(device: torch.device) -> int:
    """Bytes of images that may stay on the device."""
    if device.type != "cuda":
        return RESIDENT_BYTES_CPU
    return int(torch.cuda.mem_get_info(device)[0] * RESIDENT_SHARE_GPU)
