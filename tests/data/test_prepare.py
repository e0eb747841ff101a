"""The stage prepare: packs, interruptions of every kind, counts, sharing, and memory."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import IMPORTS, OUTPUTS, PREPARE, MakePlan, content, folder_of, make, process_of
from tests.data.serve import encode, every_archive, pixels, serving, small_datasets, tar_bytes
from transgan.config.plan import Plan
from transgan.data import packing, workers
from transgan.data.fetch import fetch
from transgan.data.pack import Pack
from transgan.data.prepare import prepare
from transgan.errors import UserError
from transgan.utils import files

DIGITS = {
    "digits": {
        "source": "digits",
        "resolution": 8,
        "splits": [{"name": "train", "count": 1437}, {"name": "test", "count": 360}],
    }
}


def test_every_dataset_from_a_server_to_a_pack(make_plan: MakePlan, tmp_path: Path) -> None:
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets(), mirror=server.url)
        packs = {dataset: make(plan, dataset) for dataset in plan.datasets}
    for dataset, pack in packs.items():
        config = plan.dataset(dataset)
        assert pack.images.dtype == np.uint8
        assert pack.images.shape == (
            sum(split.count or 0 for split in config.splits),
            config.resolution,
            config.resolution,
            3,
        )
        assert pack.images.std() > 20
        assert pack.manifest["resize"] == config.resize
        assert pack.manifest["crop"] == config.crop
        assert pack.manifest["fingerprint"] == plan.fingerprint("prepare", dataset)
        assert not (Path("data/store") / plan.fingerprint("prepare", dataset) / "scratch").exists()
        with Image.open(plan.paths.data(dataset) / "contact.png") as sheet:
            assert sheet.size[0] >= 8 * 64
    cifar, stl = packs["cifar10"], packs["stl10"]
    np.testing.assert_array_equal(cifar.read(np.array([21, 0])), np.stack([pixels(5001, 32, 32), pixels(0, 32, 32)]))
    assert cifar.labels[:5].tolist() == [0, 1, 2, 3, 1]
    half = Image.fromarray(pixels(5000, 96, 96)).resize((48, 48), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(stl.images[0], np.asarray(half))
    assert stl.labels.tolist() == [0, 1, 2, 3, 4, 5] + [-1] * 8
    assert stl.rows(["unlabeled"]).tolist() == list(range(6, 14))
    assert packs["celeba64"].labels.tolist() == [-1] * 6


def test_the_same_bytes_when_made_again(make_plan: MakePlan, tmp_path: Path) -> None:
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets(), mirror=server.url)
        for dataset in plan.datasets:
            make(plan, dataset)
            first = content(plan, dataset)
            Path("data/store").rename(f"data/store-{dataset}")
            make(plan, dataset)
            assert content(plan, dataset) == first, dataset


def test_manifest_and_arrays_of_the_digits(make_plan: MakePlan) -> None:
    pack = make(make_plan(DIGITS), "digits")
    assert pack.manifest["splits"] == {"train": [0, 1437], "test": [1437, 1797]}
    assert pack.manifest["count"] == 1797
    assert pack.manifest["classes"] == list("0123456789")
    assert pack.manifest["source"] == json.loads(Path("data/small/digits/source.json").read_text())["digest"]
    assert pack.images.shape == (1797, 8, 8, 3)
    assert isinstance(pack.images, np.memmap)
    assert pack.labels.dtype == np.int64
    assert len(pack.sha256) == 64
    assert isinstance(np.load("data/small/digits/images.npy", mmap_mode="r"), np.memmap)


def test_digits_at_another_resolution(make_plan: MakePlan) -> None:
    plan = make_plan({"digits": {**DIGITS["digits"], "resolution": 16, "resize": "bicubic"}})
    assert make(plan, "digits").images.shape == (1797, 16, 16, 3)


def test_datasets_that_are_alike_share_one_pack(make_plan: MakePlan, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(DIGITS | {"cifar10": DIGITS["digits"]})
    make(plan, "digits")
    make(plan, "cifar10")
    assert "prepare cifar10: already finished" in capsys.readouterr().err
    assert len([path for path in Path("data/store").iterdir() if path.is_dir()]) == 1
    assert content(plan, "digits") == content(plan, "cifar10")


def test_a_deleted_output_comes_back_at_once(
    make_plan: MakePlan, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder_of(photographs, 600))
    make(plan, "mine")
    before = content(plan, "mine")
    for name in OUTPUTS:
        (plan.paths.data("mine") / name).unlink()
    monkeypatch.setattr("transgan.data.prepare.open_reader", None)  # the source is not read again
    prepare(plan, "mine")
    assert content(plan, "mine") == before


def test_prepare_before_fetch_says_what_to_do(make_plan: MakePlan) -> None:
    with pytest.raises(UserError, match=r"source.json: not there; run `transgan fetch digits` first"):
        prepare(make_plan(DIGITS), "digits")


def test_an_archive_that_went_away_after_fetch(make_plan: MakePlan, tmp_path: Path) -> None:
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets(), mirror=server.url)
        fetch(plan, "cifar10")
    Path("data/archives/cifar10/cifar-10-python.tar.gz").unlink()
    with pytest.raises(UserError, match="not there any more; run `transgan fetch`"):
        prepare(plan, "cifar10")


def test_counts_are_checked(make_plan: MakePlan, tmp_path: Path) -> None:
    datasets = small_datasets()
    datasets["church256"]["splits"][0]["count"] = 126227
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(datasets, mirror=server.url)
        with pytest.raises(UserError, match=r"has 5 pictures, 126,227 are expected.*allow_partial"):
            make(plan, "church256")
        assert not plan.paths.data("church256").joinpath("images.npy").exists()
        datasets["church256"]["allow_partial"] = True
        assert make(make_plan_again(plan, datasets), "church256").manifest["count"] == 5


def make_plan_again(plan: Plan, datasets: dict[str, Any]) -> Plan:
    content = plan.params.model_dump(mode="json") | {"datasets": datasets}
    return Plan(type(plan.params).model_validate(content), plan.scale_name, plan.file)


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


def test_the_digest_is_that_of_pictures_and_labels(make_plan: MakePlan) -> None:
    pack = make(make_plan(DIGITS), "digits")
    sums = subprocess.run(
        "sha256sum images.npy labels.npy | sha256sum",
        shell=True,
        cwd="data/small/digits",
        capture_output=True,
        check=True,
    )
    assert pack.sha256 == sums.stdout.decode().split()[0]


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


def test_a_pack_that_does_not_fit_its_manifest(make_plan: MakePlan) -> None:
    plan = make_plan(DIGITS)
    make(plan, "digits")
    folder = plan.paths.data("digits")
    for name, damage, message in (
        ("images.npy", b"\x93NUMPY", "damaged"),
        ("labels.npy", None, "not there; run `transgan prepare digits --scale small`"),
        ("manifest.json", b"{", "damaged"),
    ):
        original = (folder / name).read_bytes()
        (folder / name).unlink()
        if damage is not None:
            (folder / name).write_bytes(damage)
        with pytest.raises(UserError, match=message):
            Pack.open(folder)
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(original)
    np.save(folder / "labels.npy", np.zeros(3, np.int64))
    with pytest.raises(UserError, match="do not fit"):
        Pack.open(folder)
    with pytest.raises(UserError, match="no split 'valid', it has: test, train"):
        Pack(np.zeros(1), np.zeros(1), {"splits": {"test": [0, 1], "train": [1, 2]}}).rows(["valid"])


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


def test_celebahq_as_npy_files_is_packed(make_plan: MakePlan) -> None:
    folder = Path("data/incoming/celebahq")
    folder.mkdir(parents=True)
    for i in range(3):
        np.save(folder / f"imgHQ{i:05d}.npy", pixels(i, 16, 16).transpose(2, 0, 1)[None])
    split = {"name": "train", "count": 3, "parts": ["train"]}
    plan = make_plan(
        {"hq": {"source": "celebahq", "resolution": 16, "resize": "box", "splits": [split], "train_splits": ["train"]}}
    )
    fetch(plan, "hq")
    prepare(plan, "hq")
    np.testing.assert_array_equal(Pack.open(plan.paths.data("hq")).images, [pixels(i, 16, 16) for i in range(3)])
