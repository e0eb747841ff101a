"""How fast images become packs, and packs become batches.

prepare: images per second of the whole stage (read, decode, crop, resize, write, digest) for each format, and the
share that this is of bare Pillow's rate. Bare Pillow decodes, crops and resizes from memory, in one process per core.
Both alternate in one run. Pillow's processes keep freed memory as packing workers do, which makes them faster. They
are new in every round, because the addresses of a process's buffers change the time to decode a JPEG by half: 155 or
240 microseconds for one of CelebA's, nothing between. The share of processor time is bare Pillow's processor time
over that of prepare; it does not depend on other work on the machine.

loader: 32-pixel images per second that Pack.read returns, in random rows.

    python benchmarks/data.py [--images 32000] [--rounds 5] [--tar FILE]

writes benchmarks/results/data.json. `--tar` adds seconds and peak memory of both stages on an archive of 32-pixel
images in the folders train and test.
"""

import argparse
import io
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from transgan.data.transforms import FILTERS, crop_box
from transgan.data.workers import KEPT_BYTES
from transgan.hardware.malloc import keep_freed_memory

if TYPE_CHECKING:
    from transgan.config.plan import Plan

# Other modules of this project are imported in functions: packing workers import this script when they start, which is
# part of what is measured, and the command line does not import that much.

RESULT = Path(__file__).parent / "results" / "data.json"
CHUNKS_PER_PROCESS = 20  # of bare Pillow's work


def synthetic_photograph(seed: int, height: int, width: int) -> np.ndarray:
    """Return an image as hard to decode as a photograph: smooth shapes and a little noise."""
    random = np.random.default_rng(seed)
    shapes = Image.fromarray(random.integers(0, 256, (height // 12, width // 12, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return (np.asarray(shapes) + random.normal(0, 4, (height, width, 3))).clip(0, 255).astype(np.uint8)


def encoded(kind: str, height: int, width: int, count: int) -> list[bytes]:
    """Return `count` encoded images, of which 50 differ."""
    distinct = []
    for seed in range(50):
        buffer = io.BytesIO()
        options = {"quality": 90} if kind != "PNG" else {}
        Image.fromarray(synthetic_photograph(seed, height, width)).save(buffer, kind, **options)
        distinct.append(buffer.getvalue())
    return [distinct[i % 50] for i in range(count)]


def plan_of(dataset: dict[str, Any], count: int) -> "Plan":
    """Return a plan with one dataset `it` of `count` images."""
    from transgan.config.plan import Plan
    from transgan.schema import Params

    nothing: dict[str, Any] = {kind: {} for kind in ("models", "recipes", "protocols", "classifiers", "runs")}
    entry = {"splits": [{"name": "train", "count": count}], **dataset}
    scale = {"description": "benchmark", "comparable": False, **nothing, "datasets": {"it": {}}}
    content = {
        "scale": "bench",
        "scales": {"bench": scale},
        **nothing,
        "datasets": {"it": entry},
        "tables": {},
        "figures": {},
        "data": {"mirror": "lab"},
    }
    return Plan(Params.model_validate(content), "bench", Path("params.yaml"))


def write_tar(path: Path, images: list[bytes], suffix: str) -> None:
    with tarfile.open(path, "w") as archive:
        for i, content in enumerate(images):
            info = tarfile.TarInfo(f"{i:06d}.{suffix}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_celeba(folder: Path, images: list[bytes]) -> None:
    from transgan.utils.files import sha256

    folder.mkdir()
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for i, content in enumerate(images):
            archive.writestr(f"img_align_celeba/{i:06d}.jpg", content)
    (folder / "list_eval_partition.txt").write_text("".join(f"{i:06d}.jpg 0\n" for i in range(len(images))))
    (folder / "list_landmarks_align_celeba.txt").write_text("0\n\n")
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())))


def write_lmdb(folder: Path, images: list[bytes]) -> None:
    import lmdb

    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=8 * 2**30) as database, database.begin(write=True) as transaction:
        for i, content in enumerate(images):
            transaction.put(f"{i:040d}".encode(), content)


def write_tree(folder: Path, images: list[bytes]) -> None:
    folder.mkdir()
    for i, content in enumerate(images):
        (folder / f"{i:06d}.png").write_bytes(content)


Case = tuple[str, dict[str, Any], list[bytes]]  # title, dataset, its encoded images


def cases(root: Path, count: int) -> list[Case]:
    """Write a dataset of every format below `root`, the project's folder."""
    # Enough images that one-time work (starting workers, the contact sheet) counts little.
    small = encoded("JPEG", 32, 32, count)
    faces = encoded("JPEG", 218, 178, 2 * count)
    churches = encoded("WEBP", 256, 341, count // 4)
    pngs = encoded("PNG", 256, 256, count // 8)
    large = encoded("JPEG", 1024, 1024, count // 16)
    write_tar(root / "small.tar", small, "jpg")
    write_celeba(root / "lab", faces)
    write_lmdb(root / "data/incoming/church_outdoor_train_lmdb", churches)
    write_tree(root / "pngs", pngs)
    write_tar(root / "data/incoming/celebahq.tar", large, "jpg")
    return [
        ("tar of 32-pixel JPEGs, not resized", {"source": "folder", "path": "small.tar", "resolution": 32}, small),
        (
            "CelebA zip, 178 x 218 JPEG, face148, 64",
            {"source": "celeba", "resolution": 64, "resize": "bilinear", "crop": "face148"},
            faces,
        ),
        (
            "CelebA zip, 178 x 218 JPEG, face148, 128",
            {"source": "celeba", "resolution": 128, "resize": "bilinear", "crop": "face148"},
            faces,
        ),
        ("folder of 256-pixel PNGs to 128", {"source": "folder", "path": "pngs", "resolution": 128}, pngs),
        ("LSUN lmdb, 341 x 256 WebP to 256", {"source": "lsun", "resolution": 256, "resize": "bilinear"}, churches),
        (
            "CelebA-HQ tar, 1024-pixel JPEG to 256",
            {"source": "celebahq", "resolution": 256, "resize": "bilinear"},
            large,
        ),
    ]


def bare_pillow(work: tuple[list[bytes], int, str, str]) -> float:
    """Decode, crop and resize, and nothing else; return the processor time in seconds."""
    images, side, resize, crop = work
    start = time.process_time()
    for content in images:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        box = crop_box(crop, image.width, image.height)
        if box:
            image = image.crop(box)
        if image.size != (side, side):
            image = image.resize((side, side), FILTERS[resize])
        np.asarray(image)
    return time.process_time() - start


def processor_time() -> float:
    """Return the processor seconds of this process and of its ended child processes."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def pillow_seconds(shares: list[tuple[list[bytes], int, str, str]], workers: int) -> tuple[float, float]:
    """Return the seconds and processor seconds that bare Pillow takes in new processes."""
    with multiprocessing.get_context("spawn").Pool(workers, keep_freed_memory, (KEPT_BYTES,)) as pool:
        # Start the processes and load their decoders before the clock starts.
        pool.map(bare_pillow, [(shares[0][0][:1], *shares[0][1:])] * workers, chunksize=1)
        start = time.perf_counter()
        used = sum(pool.map(bare_pillow, shares, chunksize=1))
        return time.perf_counter() - start, used


def rates(case: Case, rounds: int, workers: int) -> dict[str, Any]:
    """Return median images per second of prepare and of bare Pillow, which alternate."""
    from transgan.data.fetch import fetch
    from transgan.data.prepare import prepare

    title, dataset, images = case
    plan = plan_of(dataset, len(images))
    config = plan.dataset("it")
    # Chunks are handed out one by one. With one large chunk for each process, a fast core would wait for a slow one.
    chunks = CHUNKS_PER_PROCESS * workers
    shares = [(images[i::chunks], config.resolution, config.resize, config.crop) for i in range(chunks)]
    fetch(plan, "it")
    prepared, pillow, prepared_cpu, pillow_cpu = [], [], [], []
    for _ in range(rounds):
        seconds, used = pillow_seconds(shares, workers)
        pillow.append(len(images) / seconds)
        pillow_cpu.append(used)
        (plan.paths.data("it") / "images.npy").unlink(missing_ok=True)  # freeing a pack's pages takes time
        start, start_cpu = time.perf_counter(), processor_time()
        prepare(plan, "it")
        prepared.append(len(images) / (time.perf_counter() - start))
        prepared_cpu.append(processor_time() - start_cpu)
        shutil.rmtree("data/store")  # packs of all rounds would fill the page cache
    row = {
        "pictures": len(images),
        "prepare_per_second": statistics.median(prepared),
        "pillow_per_second": statistics.median(pillow),
        "share": statistics.median(a / b for a, b in zip(prepared, pillow, strict=True)),
        "shares": [a / b for a, b in zip(prepared, pillow, strict=True)],
        "share_of_processor_time": statistics.median(b / a for a, b in zip(prepared_cpu, pillow_cpu, strict=True)),
    }
    print(
        f"{title}: {row['prepare_per_second']:,.0f}/s, Pillow in {workers} processes"
        f" {row['pillow_per_second']:,.0f}/s, share {row['share']:.0%}"
        f" (of processor time {row['share_of_processor_time']:.0%})",
        flush=True,
    )
    return row


def loader_rate(folder: Path, batch: int = 64, seconds: float = 3.0) -> float:
    """Return images per second of Pack.read, in random rows of a pack of 50,000 32-pixel images."""
    from transgan.data.pack import Pack

    random = np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "images.npy", random.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8))
    np.save(folder / "labels.npy", np.full(50_000, -1, np.int64))
    (folder / "manifest.json").write_text(
        json.dumps({"count": 50_000, "resolution": 32, "splits": {"train": [0, 50_000]}})
    )
    pack = Pack.open(folder)
    order = random.permutation(50_000)
    read, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        at = read % (50_000 - batch)
        read += len(pack.read(order[at : at + batch]))
    return read / (time.perf_counter() - start)


def whole_tar(path: Path) -> dict[str, float]:
    """Return seconds and peak memory (MB, all processes together) of fetch and prepare on an archive of images."""
    from benchmarks.peak_memory import peak_bytes

    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from benchmarks.data import plan_of\n"
        "from transgan.data.fetch import fetch; from transgan.data.prepare import prepare\n"
        "splits = [{'name': 'train'}, {'name': 'test'}]\n"
        "dataset = {'source': 'folder', 'path': sys.argv[2], 'resolution': 32, 'splits': splits}\n"
        "plan = plan_of(dataset, 1)\n"
        "a = time.perf_counter(); fetch(plan, 'it')\n"
        "b = time.perf_counter(); prepare(plan, 'it')\n"
        "c = time.perf_counter(); print(b - a, c - b)"
    )
    root = str(Path(__file__).resolve().parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", code, root, str(path.resolve())], stdout=subprocess.PIPE, text=True
    )
    peak = peak_bytes(process)
    fetched, prepared = map(float, process.communicate()[0].split())
    return {"fetch_seconds": fetched, "prepare_seconds": prepared, "peak_megabytes": peak / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure prepare and the loader.")
    parser.add_argument("--images", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tar", type=Path)
    arguments = parser.parse_args()
    tar = arguments.tar.resolve() if arguments.tar else None
    workers = len(os.sched_getaffinity(0))
    versions = f"Python {platform.python_version()}, Pillow {Image.__version__}"
    result: dict[str, Any] = {"machine": f"{platform.machine()}, {workers} cores, {versions}"}
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        result["load_average_before"] = os.getloadavg()[0]
        result["prepare"] = {
            case[0]: rates(case, arguments.rounds, workers) for case in cases(Path(temporary), arguments.images)
        }
        result["loader_per_second"] = loader_rate(Path("pack"))
        print(f"loader: {result['loader_per_second']:,.0f} 32-pixel images a second", flush=True)
        if tar:
            result["tar"] = whole_tar(tar)
            print(f"{tar.name}: {result['tar']}", flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
