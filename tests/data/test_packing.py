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

from tests.data.conftest import IMPORTS, OUTPUTS, PREPARE, MakePlan, content, folder_of, make, process_of
from tests.data.sample_archives import encode, pixels, tar_bytes
from transgan.config.plan import Plan
from transgan.data import packing, workers
from transgan.data.fetch import fetch
from transgan.data.prepare import prepare
from transgan.errors import UserError
from transgan.utils import files


class Boom(Exception):
    pass


def test_an_interruption_at_any_batch_is_gone_on_with(
    make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder_of(photographs, 600))
    make(plan, "mine")
    whole = content(plan, "mine")
    Path("data/store").rename("data/store-whole")
    original = packing.pack_batch
    monkeypatch.setattr(packing, "BATCH_IMAGES", 16)
    luck = np.random.RandomState(0)

    def fragile(*work: Any) -> Any:
        if luck.uniform() < 0.1:
            raise Boom
        return original(*work)

    monkeypatch.setattr(packing, "pack_batch", fragile)
    attempts = 0
    while True:
        attempts += 1
        (plan.paths.data("mine") / "images.npy").unlink(missing_ok=True)
        try:
            prepare(plan, "mine")
            break
        except Boom:
            assert not (plan.paths.data("mine") / "images.npy").exists()
            assert attempts < 200
    assert attempts > 2
    assert content(plan, "mine") == whole


def test_a_full_disk_while_packing(make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(folder_of(photographs, 600))
    original, room = workers.write_at, [200 * 768]

    def full(descriptor: int, pieces: Any, offset: int) -> None:
        room[0] -= sum(piece.nbytes for piece in pieces)
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        original(descriptor, pieces, offset)

    monkeypatch.setattr(workers, "write_at", full)
    with pytest.raises(UserError, match=r"images.partial: cannot be written \(No space left on device\)"):
        make(plan, "mine")
    assert not (plan.paths.data("mine") / "images.npy").exists()
    monkeypatch.setattr(workers, "write_at", original)
    pack = make(plan, "mine")
    np.testing.assert_array_equal(pack.images[:50], pack.images[550:])


def test_a_disk_that_fills_while_the_manifest_is_written(
    make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder_of(photographs, 600))
    fetch(plan, "mine")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    flush = files._flush
    monkeypatch.setattr(files, "_flush", full)
    with pytest.raises(UserError, match="No space left"):
        prepare(plan, "mine")
    monkeypatch.setattr(files, "_flush", flush)
    assert not (plan.paths.data("mine") / "images.npy").exists()
    assert make(plan, "mine").manifest["count"] == 600


def test_too_little_room_is_said_before_anything_is_written(
    make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder_of(photographs, 600))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match=r"needs 0\.5 MB.*0\.0 MB are free"):
        make(plan, "mine")
    assert not list(Path("data/store").rglob("images.partial"))


def test_finished_work_holds_the_digests_of_its_files(make_plan: MakePlan, photographs: Path, tmp_path: Path) -> None:
    """They are taken while the pictures are packed: also of rows that come in another order, and where some cannot be read."""
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
        folder_of(photographs, 600)
        | {"other": {**folder_of(backwards, 0)["mine"], "splits": parts, "on_error": "skip"}}
    )
    for dataset in plan.datasets:
        make(plan, dataset)
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


def test_kill_9_while_packing(whole: tuple[Plan, dict[str, bytes]], capsys: pytest.CaptureFixture[str]) -> None:
    plan, expected = whole
    process = process_of(IMPORTS + SLOWLY + PREPARE, plan)
    state = Path("data/store") / plan.fingerprint("prepare", "mine") / "progress.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (state.exists() and json.loads(state.read_text())["done"] >= 128):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (plan.paths.data("mine") / "images.npy").exists()
    capsys.readouterr()
    prepare(plan, "mine")
    assert "going on after" in capsys.readouterr().err
    assert content(plan, "mine") == expected


def test_two_at_once_pack_once(make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(folder_of(photographs, 600) | {"twin": folder_of(photographs, 600)["mine"]})
    for dataset in plan.datasets:
        fetch(plan, dataset)
    original, packed = packing.pack_images, []

    def counted(job: packing.Job, *rest: Any) -> str:
        packed.append(len(job.entries))
        return original(job, *rest)

    monkeypatch.setattr("transgan.data.prepare.pack_images", counted)
    threads = [threading.Thread(target=prepare, args=(plan, dataset)) for dataset in plan.datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert packed == [600]
    assert content(plan, "mine") == content(plan, "twin")


@pytest.mark.slow
def test_peak_memory_does_not_depend_on_the_size(tmp_path: Path, make_plan: MakePlan) -> None:
    """A pack of 1.2 GB, made by a process whose peak stays under half a gigabyte."""
    picture = encode(pixels(1, 256, 256))
    path = tmp_path / "large.tar"
    path.write_bytes(tar_bytes({f"{i:06d}.jpg": picture for i in range(1500)}, "w"))
    options = {"resolution": 512, "resize": "box"}
    plan = make_plan({"mine": folder_of(path, 1500)["mine"] | options})
    fetch(plan, "mine")
    process = process_of(IMPORTS + PREPARE, plan)
    peak, _ = process.communicate()
    assert process.returncode == 0
    assert int(peak) * 1024 < 2**29
    assert (plan.paths.data("mine") / "images.npy").stat().st_size > 10**9
