"""The order of the real images, and that all ways of reading them give the same batches."""

import numpy as np
import pytest
import torch

from transgan.data.pack import Pack
from transgan.training import data_loader as module
from transgan.training.data_loader import ImageLoader
from transgan.training.distributed.process_group import ProcessGroup
from transgan.utils.random import RandomStreams


@pytest.fixture
def pack() -> Pack:
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 3), dtype=np.uint8)
    return Pack(images, np.full(30, -1), {"splits": {"train": [0, 20], "test": [20, 30]}})


def loader(
    pack: Pack,
    process_group: ProcessGroup | None = None,
    flip: bool = False,
    resident: bool | None = None,
    splits=("train",),
) -> ImageLoader:
    return ImageLoader(pack, splits, 6, flip, RandomStreams(3), process_group or ProcessGroup(), resident)


def test_every_epoch_has_every_image_once_in_a_new_order(pack):
    shown = np.concatenate([loader(pack).positions(step) for step in range(20)])[:120].reshape(6, 20)
    assert all(sorted(epoch) == list(range(20)) for epoch in shown)
    assert len({tuple(epoch) for epoch in shown}) == 6


def test_the_images_of_a_step_depend_on_its_number_alone(pack):
    one, other = loader(pack), loader(pack)
    for step in (0, 1, 2):
        one.batch(step)
    assert torch.equal(one.batch(7), other.batch(7))
    assert torch.equal(one.batch(2), other.batch(2))


def test_reading_ahead_gives_the_same_batches_as_resident_images(pack):
    resident, ahead = loader(pack, flip=True, resident=True), loader(pack, flip=True, resident=False)
    for step in (0, 1, 2, 3, 9):
        assert torch.equal(resident.batch(step), ahead.batch(step))
    ahead.close()


@pytest.mark.parametrize("chunk_bytes", [1, 7 * 48, 10**6])
def test_resident_images_sent_in_chunks_are_complete(pack, chunk_bytes, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    test = loader(pack, resident=True, splits=("test", "train"))
    shown = torch.cat([test.batch(step) for step in range(5)])
    order = np.concatenate([test.positions(step) for step in range(5)])
    expected = torch.from_numpy(pack.images[[*range(20, 30), *range(20)]][order]).permute(0, 3, 1, 2)
    assert torch.equal(shown, expected.float() / 127.5 - 1)


def test_processes_share_the_global_batch(pack):
    whole = loader(pack, flip=True)
    for step in range(5):
        parts = [loader(pack, ProcessGroup(rank, 3), flip=True).batch(step) for rank in range(3)]
        assert torch.equal(torch.cat(parts), whole.batch(step))


def test_images_are_in_range_and_come_from_the_splits_alone(pack):
    test = loader(pack, splits=("test",))
    shown = torch.cat([test.batch(step) for step in range(5)])
    expected = torch.from_numpy(pack.images[20:]).permute(0, 3, 1, 2).double() / 255 * 2 - 1
    assert shown.abs().max() <= 1
    distances = (shown[:, None] - expected[None]).abs().amax((2, 3, 4)).amin(1)
    assert distances.max() < 1e-6


def test_half_of_the_images_are_mirrored(pack):
    plain, flipped = loader(pack), loader(pack, flip=True)
    mirrored = 0
    for step in range(60):
        a, b = plain.batch(step), flipped.batch(step)
        same = (a == b).flatten(1).all(1)
        assert torch.equal(torch.where(same.view(-1, 1, 1, 1), a, a.flip(3)), b)
        mirrored += int((~same).sum())
    assert 0.4 < mirrored / 360 < 0.6
