"""Packing: interruptions of every kind, full disks, digests, concurrent calls and peak memory."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.conftest import (
    IMPORTS,
    OUTPUTS,
    PREPARE,
    MakePlan,
    fetch_and_prepare,
    folder_dataset,
    output_bytes,
    run_in_process,
)
from tests.data.sample_archives import encode, pixels, tar_bytes
from transgan.config.plan import Plan
from transgan.data import packing, workers
from transgan.data.fetch import fetch
from transgan.data.prepare import prepare
from transgan.errors import UserError
from transgan.utils import files


class Interruption(Exception):
    pass


def test_packing_resumes_after_an_interruption_at_any_batch(
    make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder_dataset(photographs, 600))
    fetch_and_prepare(plan, "mine")
    expected = output_bytes(plan, "mine")
    Path("data/store").rename("data/store-whole")
    original = packing.pack_batch
    monkeypatch.setattr(packing, "BATCH_IMAGES", 16)
    luck = np.random.RandomState(0)

    def fragile(*work: Any) -> Any:
        if luck.uniform() < 0.1:
            raise Interruption
        return original(*work)

    monkeypatch.setattr(packing, "pack_batch", fragile)
    attempts = 0
    while True:
        attempts += 1
        (plan.paths.data("mine") / "images.npy").unlink(missing_ok=True)
        try:
            prepare(plan, "mine")
            break
        except Interruption:
            assert not (plan.paths.data("mine") / "images.npy").exists()
            assert attempts < 200
    assert attempts > 2
    assert output_bytes(plan, "mine") == expected


def test_a_full_disk_while_packing(make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(folder_dataset(photographs, 600))
    original, free = workers.write_at, [200 * 768]

    def full(descriptor: int, buffers: Any, offset: int) -> None:
        free[0] -= sum(buffer.nbytes for buffer in buffers)
        if free[0] < 0:
            raise OSError(28, "No space left on device")
        original(descriptor, buffers, offset)

    monkeypatch.setattr(workers, "write_at", full)
    with pytest.raises(UserError, match=r"images.partial: cannot be written \(No space left on device\)"):
        fetch_and_prepare(plan, "mine")
    assert not (plan.paths.data("mine") / "images.npy").exists()
    monkeypatch.setattr(workers, "write_at", original)
    pack = fetch_and_prepare(plan, "mine")
    np.testing.assert_array_equal(pack.images[:50], pack.images[550:])


def test_a_full_disk_while_the_manifest_is_written(
    make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder_dataset(photographs, 600))
    fetch(plan, "mine")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    flush = files._flush
    monkeypatch.setattr(files, "_flush", full)
    with pytest.raises(UserError, match="No space left"):
        prepare(plan, "mine")
    monkeypatch.setattr(files, "_flush", flush)
    assert not (plan.paths.data("mine") / "images.npy").exists()
    assert fetch_and_prepare(plan, "mine").manifest["count"] == 600


def test_too_little_free_space_is_reported_before_anything_is_written(
    make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder_dataset(photographs, 600))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match=r"needs 0\.5 MB.*0\.0 MB are free"):
        fetch_and_prepare(plan, "mine")
    assert not list(Path("data/store").rglob("images.partial"))


def test_finished_json_holds_the_digests_of_the_outputs(make_plan: MakePlan, photographs: Path, tmp_path: Path) -> None:
    """Digests are computed during packing, also when rows arrive in another order and when images cannot be read."""
    backwards = tmp_path / "backwards"
    backwards.mkdir()
    for i in range(300):
        (backwards / f"{'ba'[i % 2]}{i:03d}.png").write_bytes(
            encode(pixels(i % 50, 24, 20), "PNG") if i % 7 else b"broken"
        )
    parts = [{"name": "train", "parts": ["b"]}, {"name": "test", "parts": ["a"]}]
    for kind in "ab":
        (backwards / kind).mkdir()
    for path in backwards.glob("*.png"):
        path.rename(backwards / path.name[0] / path.name)
    plan = make_plan(
        folder_dataset(photographs, 600)
        | {"other": {**folder_dataset(backwards, 0)["mine"], "splits": parts, "on_error": "skip"}}
    )
    for dataset in plan.datasets:
        fetch_and_prepare(plan, dataset)
        finished = files.read_json(Path("data/store") / plan.fingerprint("prepare", dataset) / "finished.json")[
            "outputs"
        ]
        assert finished == {name: files.sha256(plan.paths.data(dataset) / name) for name in OUTPUTS}
    assert plan.paths.data("other").joinpath("images.npy").stat().st_size == 128 + 257 * 768


SLOWLY = """
original = packing.pack_batch
def slow(*work):
    result = original(*work)
    time.sleep(0.3)
    return result
packing.pack_batch = slow
packing.SAVE_EVERY_SECONDS = 0.0
"""


def test_packing_resumes_after_sigkill(
    fetched: tuple[Plan, dict[str, bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    plan, expected = fetched
    process = run_in_process(IMPORTS + SLOWLY + PREPARE, plan)
    state = Path("data/store") / plan.fingerprint("prepare", "mine") / "progress.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (state.exists() and json.loads(state.read_text())["done"] >= 128):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (plan.paths.data("mine") / "images.npy").exists()
    capsys.readouterr()
    prepare(plan, "mine")
    assert "resuming after" in capsys.readouterr().err
    assert output_bytes(plan, "mine") == expected


def test_concurrent_calls_pack_once(make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(folder_dataset(photographs, 600) | {"twin": folder_dataset(photographs, 600)["mine"]})
    for dataset in plan.datasets:
        fetch(plan, dataset)
    original, packed = packing.pack_images, []

    def counted(job: packing.PackingJob, *rest: Any) -> str:
        packed.append(len(job.entries))
        return original(job, *rest)

    monkeypatch.setattr("transgan.data.prepare.pack_images", counted)
    threads = [threading.Thread(target=prepare, args=(plan, dataset)) for dataset in plan.datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert packed == [600]
    assert output_bytes(plan, "mine") == output_bytes(plan, "twin")


@pytest.mark.slow
def test_peak_memory_does_not_depend_on_the_size(tmp_path: Path, make_plan: MakePlan) -> None:
    """A process packs 1.2 GB with a peak of less than half a gigabyte."""
    image = encode(pixels(1, 256, 256))
    path = tmp_path / "large.tar"
    path.write_bytes(tar_bytes({f"{i:06d}.jpg": image for i in range(1500)}, "w"))
    options = {"resolution": 512, "resize": "box"}
    plan = make_plan({"mine": folder_dataset(path, 1500)["mine"] | options})
    fetch(plan, "mine")
    process = run_in_process(IMPORTS + PREPARE, plan)
    peak, _ = process.communicate()
    assert process.returncode == 0
    assert int(peak) * 1024 < 2**29
    assert (plan.paths.data("mine") / "images.npy").stat().st_size > 10**9
