"""Packing in processes: the same pack as with threads, and a clean end after signals, killed workers and full disks."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import (
    IMPORTS,
    PREPARE,
    MakePlan,
    fetch_and_prepare,
    folder_dataset,
    output_bytes,
    run_in_process,
)
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
        time.sleep(0.5)  # 19 seconds in all unless it is stopped
packing._batches = slow
"""


def test_processes_and_threads_write_the_same_pack(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.png").write_bytes(encode(pixels(i, 24, 20), "PNG") if i != 17 else b"broken")
    with serving(every_archive(tmp_path / "lsun")) as server:
        plan = make_plan(small_datasets() | folder_dataset(folder, 40, on_error="skip"), mirror=server.url)
        chosen = ("cifar10", "celeba128", "mine")  # arrays, encoded images in an archive, paths
        for dataset in chosen:
            fetch_and_prepare(plan, dataset)
    by_threads = [output_bytes(plan, dataset) for dataset in chosen]
    Path("data/store").rename("data/store-threads")
    monkeypatch.setattr(workers, "PROCESSES_FROM", 1)
    monkeypatch.setattr(workers, "ThreadPoolExecutor", None)
    for dataset in chosen:
        prepare(plan, dataset)
    assert [output_bytes(plan, dataset) for dataset in chosen] == by_threads


def start_packing(code: str, plan: Plan) -> subprocess.Popen[str]:
    """Start `code` in a new process group, and wait until its first rows are flushed."""
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
    assert process.poll() is None, "it ended before the test could stop it"
    return process


def members(group: int) -> list[int]:
    """Return the running processes of a process group."""
    running = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group_of_process = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group_of_process) == group and state != "Z":
            running.append(int(path.parent.name))
    return running


def test_after_sigkill_no_process_is_left_and_packing_resumes(
    fetched: tuple[Plan, dict[str, bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    plan, expected = fetched
    process = start_packing(IMPORTS + PROCESSES + SLOWLY + PREPARE, plan)
    assert len(members(process.pid)) > 2
    process.send_signal(signal.SIGKILL)
    process.communicate()  # its pipes are closed when the last worker is gone
    deadline = time.monotonic() + 30
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert members(process.pid) == []
    assert not (plan.paths.data("mine") / "images.npy").exists()
    prepare(plan, "mine")
    assert "resuming after" in capsys.readouterr().err
    assert output_bytes(plan, "mine") == expected


def test_ctrl_c_stops_the_workers_silently(fetched: tuple[Plan, dict[str, bytes]]) -> None:
    plan, expected = fetched
    # A shell's background job, as CI's may be, ignores SIGINT unless it installs the handler.
    install_handler = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = start_packing(install_handler + IMPORTS + PROCESSES + SLOWLY + CAUGHT, plan)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert errors == ""
    prepare(plan, "mine")
    assert output_bytes(plan, "mine") == expected


def test_a_worker_that_is_still_starting_ignores_ctrl_c() -> None:
    """Its initializer ignores SIGINT, but the process exists before that runs: until then SIGINT is blocked."""
    context = workers._SpawnContext()
    masks = context.SimpleQueue()
    process = context.Process(target=report_blocked_signals, args=(masks,))
    process.start()
    assert signal.SIGINT in masks.get()
    process.join()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def report_blocked_signals(masks: Any) -> None:
    masks.put(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_a_killed_worker_gives_one_line(fetched: tuple[Plan, dict[str, bytes]]) -> None:
    plan, expected = fetched
    process = start_packing(IMPORTS + PROCESSES + SLOWLY + CAUGHT, plan)
    victims = [pid for pid in members(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(victims[0], signal.SIGKILL)
    output, _ = process.communicate()
    assert "UserError('a process that packs images was killed" in output
    prepare(plan, "mine")
    assert output_bytes(plan, "mine") == expected


def test_a_full_disk_in_a_worker_gives_one_line(fetched: tuple[Plan, dict[str, bytes]]) -> None:
    plan, expected = fetched
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 768, 200 * 768))\n"
    code = IMPORTS + PROCESSES + limit + CAUGHT
    output, _ = run_in_process(code, plan).communicate()
    assert "images.partial: cannot be written (File too large)" in output
    assert not (plan.paths.data("mine") / "images.npy").exists()
    prepare(plan, "mine")
    assert output_bytes(plan, "mine") == expected


def test_large_images_are_decoded_under_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        entered = 0

        def __enter__(self) -> None:
            self.entered += 1

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(transforms, "_large_image_lock", threading.Lock())
    monkeypatch.setattr(transforms, "LARGE_PIXELS", 24 * 20)
    lock = Counted()
    transforms.set_large_image_lock(lock)
    transform = CropAndResize(8, "box", "none")
    transform(encode(pixels(0, 24, 20), "PNG"))
    assert lock.entered == 0
    transform(encode(pixels(0, 24, 21), "PNG"))
    assert lock.entered == 1
