"""Packing in processes: the same pack as with threads, and no process left behind or shouting, however it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.data.conftest import IMPORTS, PREPARE, MakePlan, content, folder_of, make, process_of
from tests.data.http_server import serving
from tests.data.sample_archives import encode, every_archive, pixels, small_datasets
from transgan.config.plan import Plan
from transgan.data import transforms, workers
from transgan.data.packing import PROGRESS
from transgan.data.prepare import prepare
from transgan.data.transforms import CropAndResize
from transgan.utils import files

PROCESSES = """
from transgan.data import workers
workers.PROCESSES_FROM, packing.BATCH_IMAGES, packing.SAVE_EVERY_SECONDS = 1, 16, 0.0
"""
CAUGHT = f"""
try:
    exec({PREPARE!r})
except KeyboardInterrupt:
    sys.exit(130)
except Exception as error:
    print(repr(error))
"""
SLOWLY = """
original = packing._batches
def slow(job):
    for batch in original(job):
        yield batch
        time.sleep(0.5)  # 19 seconds in all, were it not stopped
packing._batches = slow
"""


def test_processes_make_the_same_pack_as_threads(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.png").write_bytes(encode(pixels(i, 24, 20), "PNG") if i != 17 else b"broken")
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets() | folder_of(folder, 40, on_error="skip"), mirror=server.url)
        chosen = ("cifar10", "celeba128", "mine")  # arrays, encoded pictures of an archive, paths
        for dataset in chosen:
            make(plan, dataset)
    by_threads = [content(plan, dataset) for dataset in chosen]
    Path("data/store").rename("data/store-threads")
    monkeypatch.setattr(workers, "PROCESSES_FROM", 1)
    monkeypatch.setattr(workers, "ThreadPoolExecutor", None)
    for dataset in chosen:
        prepare(plan, dataset)
    assert [content(plan, dataset) for dataset in chosen] == by_threads


def begin(code: str, plan: Plan) -> subprocess.Popen[str]:
    """`code` in a process (and a process group) of its own, its pack begun and its first rows safe."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, plan.params.model_dump_json()]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    progress = Path("data/store") / plan.fingerprint("prepare", "mine") / PROGRESS
    deadline = time.monotonic() + 60
    while (
        time.monotonic() < deadline
        and process.poll() is None
        and not (progress.exists() and files.read_json(progress)["done"] >= 32)
    ):
        time.sleep(0.02)
    assert process.poll() is None, "it ended before anything was done to it"
    return process


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


def test_killed_with_9_it_leaves_no_process_and_goes_on(
    whole: tuple[Plan, dict[str, bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    plan, expected = whole
    process = begin(IMPORTS + PROCESSES + SLOWLY + PREPARE, plan)
    assert len(members(process.pid)) > 2
    process.send_signal(signal.SIGKILL)
    process.communicate()  # its pipes are closed when the last worker is gone
    deadline = time.monotonic() + 30
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert members(process.pid) == []
    assert not (plan.paths.data("mine") / "images.npy").exists()
    prepare(plan, "mine")
    assert "going on after" in capsys.readouterr().err
    assert content(plan, "mine") == expected


def test_ctrl_c_stops_without_a_word_from_the_workers(whole: tuple[Plan, dict[str, bytes]]) -> None:
    plan, expected = whole
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job, as CI's may be, ignores it
    process = begin(heard + IMPORTS + PROCESSES + SLOWLY + CAUGHT, plan)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert said == ""
    prepare(plan, "mine")
    assert content(plan, "mine") == expected


def test_a_killed_worker_is_one_line(whole: tuple[Plan, dict[str, bytes]]) -> None:
    plan, expected = whole
    process = begin(IMPORTS + PROCESSES + SLOWLY + CAUGHT, plan)
    victims = [pid for pid in members(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(victims[0], signal.SIGKILL)
    said, _ = process.communicate()
    assert "UserError('a process that packs pictures was killed" in said
    prepare(plan, "mine")
    assert content(plan, "mine") == expected


def test_a_full_disk_in_a_worker_is_one_line(whole: tuple[Plan, dict[str, bytes]]) -> None:
    plan, expected = whole
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 768, 200 * 768))\n"
    code = IMPORTS + PROCESSES + limit + CAUGHT
    said, _ = process_of(code, plan).communicate()
    assert "images.partial: cannot be written (File too large)" in said
    assert not (plan.paths.data("mine") / "images.npy").exists()
    prepare(plan, "mine")
    assert content(plan, "mine") == expected


def test_large_pictures_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        entered = 0

        def __enter__(self) -> None:
            self.entered += 1

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(transforms, "_large", threading.Lock())
    monkeypatch.setattr(transforms, "LARGE_PIXELS", 24 * 20)
    lock = Counted()
    transforms.take_turns(lock)
    transform = CropAndResize(8, "box", "none")
    transform(encode(pixels(0, 24, 20), "PNG"))
    assert lock.entered == 0
    transform(encode(pixels(0, 24, 21), "PNG"))
    assert lock.entered == 1
