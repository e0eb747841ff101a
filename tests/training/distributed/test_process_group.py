"""The process group: rows of the batch, and the recorded trajectories in two processes."""

import os
import socket
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from tests.training.trajectory import Recorded
from transgan.training.distributed.process_group import TIMEOUT, ProcessGroup, init_process_group


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def replay(rank: int, count: int, port: int, name: str, changes: dict) -> None:
    torch.set_num_threads(1)
    os.environ.update(WORLD_SIZE=str(count), RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    process_group = init_process_group("cpu")
    recorded = Recorded(name)
    recorded.check(recorded.trainer(process_group, **changes))
    process_group.close()


def test_rows_of_all_processes_are_the_batch():
    rows = [ProcessGroup(rank, 3).rows(12) for rank in range(3)]
    assert [list(range(12))[part] for part in rows] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["released", "clean"])
def test_two_processes_follow_the_recorded_trajectory(name):
    # The drift is over the whole batch, which the processes split, so its mean takes an additional pass.
    torch.multiprocessing.spawn(replay, (2, free_port(), name, {}), nprocs=2)


@pytest.mark.parametrize(("device_type", "backend"), [("cpu", "gloo"), ("cuda", "nccl")])
def test_a_process_waits_for_gradients_and_messages_as_long_as_a_slow_checkpoint_takes(
    device_type, backend, monkeypatch
):
    """Torch's own limits are ten minutes (nccl) and thirty (gloo)."""
    groups: dict[str, timedelta] = {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", lambda backend, timeout: groups.update({backend: timeout}))
    monkeypatch.setattr(dist, "new_group", lambda backend, timeout: groups.update({f"messages by {backend}": timeout}))
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    init_process_group(device_type)
    assert groups == {backend: TIMEOUT, "messages by gloo": TIMEOUT}
    assert timedelta(hours=1) < TIMEOUT
