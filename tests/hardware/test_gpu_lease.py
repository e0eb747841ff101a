"""How processes share the GPUs of a machine."""

from pathlib import Path

import pytest
from filelock import FileLock

from transgan.hardware import gpu_lease
from transgan.hardware.gpu_lease import lease_gpu


@pytest.fixture(autouse=True)
def no_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_lease, "_leases", {})


def test_every_process_takes_a_gpu_of_its_own(tmp_path: Path) -> None:
    with FileLock(tmp_path / "first.lock"):
        assert lease_gpu(["first", "second"], tmp_path) == 1


def test_a_process_stays_on_its_gpu(tmp_path: Path) -> None:
    with FileLock(tmp_path / "first.lock"):
        assert lease_gpu(["first", "second"], tmp_path) == 1
    assert lease_gpu(["first", "second"], tmp_path) == 1  # although the first is free now


def test_a_single_gpu_is_shared(tmp_path: Path) -> None:
    with FileLock(tmp_path / "only.lock"):
        assert lease_gpu(["only"], tmp_path) == 0


def test_a_process_stays_on_the_gpu_that_it_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with FileLock(tmp_path / "first.lock"), FileLock(tmp_path / "second.lock"):
        assert lease_gpu(["first", "second"], tmp_path) == 1
    assert (
        lease_gpu(["first", "second"], tmp_path) == 1
    )  # although the first is free now: its networks are on the second
