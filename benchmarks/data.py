"""How fast pictures become packs and packs become batches.

prepare: pictures per second of the whole stage (reading, decoding, cropping, resizing, writing, digests) per format, and as a share of
what bare Pillow decodes, crops and resizes from memory in as many processes as there are cores, measured in turn with it in the same run.
These processes treat memory as ours do, which makes Pillow faster, and are new in every round: where a process happens to have its buffers
changes the time that a JPEG takes to decode by half (155 or 240 microseconds for one of CelebA's, nothing between). Prepare is given
also as the share of prepare's processor time that bare Pillow needs, which other work on the machine does not disturb.
loader: 32-pixel pictures per second that Pack.read gives from a pack, in random rows.

    python benchmarks/data.py [--pictures 32000] [--rounds 5] [--tar FILE]

writes benchmarks/results/data.json. `--tar` adds the whole stage on an archive of 32-pixel pictures, with seconds and peak memory.
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

# The rest is imported where it is used: workers import the script that was started, and the command line is light, too.

RESULT = Path(__file__).parent / "results" / "data.json"
PIECES = 20  # of bare Pillow's work, for each process


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """Something as hard to decode as a photograph: smooth shapes and a little noise."""
    random = np.random.default_rng(seed)
    shapes = Image.fromarray(random.integers(0, 256, (height // 12, width // 12, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return (np.asarray(shapes) + random.normal(0, 4, (height, width, 3))).clip(0, 255).astype(np.uint8)


def encoded(kind: str, height: int, width: int, count: int) -> list[bytes]:
    """`count` encoded pictures, of which 50 differ."""
    distinct = []
    for seed in range(50):
        buffer = io.BytesIO()
        Image.fromarray(picture(seed, height, width)).save(buffer, kind, **({"quality": 90} if kind != "PNG" else {}))
        distinct.append(buffer.getvalue())
    return [distinct[i % 50] for i in range(count)]


def plan_of(dataset: dict[str, Any], count: int) -> "Plan":
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


def write_tar(path: Path, pictures: list[bytes], suffix: str) -> None:
    with tarfile.open(path, "w") as archive:
        for i, content in enumerate(pictures):
            info = tarfile.TarInfo(f"{i:06d}.{suffix}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_celeba(folder: Path, pictures: list[bytes]) -> None:
    from transgan.utils.files import sha256

    folder.mkdir()
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for i, content in enumerate(pictures):
            archive.writestr(f"img_align_celeba/{i:06d}.jpg", content)
    (folder / "list_eval_partition.txt").write_text("".join(f"{i:06d}.jpg 0\n" for i in range(len(pictures))))
    (folder / "list_landmarks_align_celeba.txt").write_text("0\n\n")
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())))


def write_lmdb(folder: Path, pictures: list[bytes]) -> None:
    import lmdb

    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=8 * 2**30) as database, database.begin(write=True) as transaction:
        for i, content in enumerate(pictures):
            transaction.put(f"{i:040d}".encode(), content)


def write_tree(folder: Path, pictures: list[bytes]) -> None:
    folder.mkdir()
    for i, content in enumerate(pictures):
        (folder / f"{i:06d}.png").write_bytes(content)


Case = tuple[str, dict[str, Any], list[bytes]]


def cases(root: Path, count: int) -> list[Case]:
    """(title, dataset, its encoded pictures) of every format, written below `root`, which is the project's folder."""
    # Enough that what is done once (starting workers, the contact sheet) counts little; CelebA has three times as many.
    small, faces, churches = (
        encoded("JPEG", 32, 32, count),
        encoded("JPEG", 218, 178, 2 * count),
        encoded("WEBP", 256, 341, count // 4),
    )
    pngs, large = encoded("PNG", 256, 256, count // 8), encoded("JPEG", 1024, 1024, count // 16)
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
    """Decode, crop and resize, and nothing else; returns the processor time it took."""
    pictures, side, resize, crop = work
    start = time.process_time()
    for content in pictures:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        box = crop_box(crop, image.width, image.height)
        if box:
            image = image.crop(box)
        if image.size != (side, side):
            image = image.resize((side, side), FILTERS[resize])
        np.asarray(image)
    return time.process_time() - start


def processor_time() -> float:
    """Seconds that this process and those it started and that have ended took of all cores."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def pillow_seconds(shares: list[tuple[list[bytes], int, str, str]], workers: int) -> tuple[float, float]:
    """Seconds, and of processor time, that bare Pillow takes in new processes."""
    with multiprocessing.get_context("spawn").Pool(workers, keep_freed_memory, (KEPT_BYTES,)) as pool:
        pool.map(
            bare_pillow, [(shares[0][0][:1], *shares[0][1:])] * workers, chunksize=1
        )  # started, and its decoders loaded
        start = time.perf_counter()
        used = sum(pool.map(bare_pillow, shares, chunksize=1))
        return time.perf_counter() - start, used


def rates(case: Case, rounds: int, workers: int) -> dict[str, Any]:
    """Median pictures per second of prepare and of bare Pillow, measured in turn."""
    from transgan.data.fetch import fetch
    from transgan.data.prepare import prepare

    title, dataset, pictures = case
    plan = plan_of(dataset, len(pictures))
    config = plan.dataset("it")
    pieces = (
        PIECES * workers
    )  # handed out one by one: with a half each, the faster of two uneven cores would wait for the other
    shares = [(pictures[i::pieces], config.resolution, config.resize, config.crop) for i in range(pieces)]
    fetch(plan, "it")
    ours, pillow, ours_cpu, pillow_cpu = [], [], [], []
    for _ in range(rounds):
        seconds, used = pillow_seconds(shares, workers)
        pillow.append(len(pictures) / seconds)
        pillow_cpu.append(used)
        (plan.paths.data("it") / "images.npy").unlink(missing_ok=True)  # freeing a pack's pages takes time, too
        start, start_cpu = time.perf_counter(), processor_time()
        prepare(plan, "it")
        ours.append(len(pictures) / (time.perf_counter() - start))
        ours_cpu.append(processor_time() - start_cpu)
        shutil.rmtree("data/store")  # packs of all rounds would fill the page cache
    row = {
        "pictures": len(pictures),
        "prepare_per_second": statistics.median(ours),
        "pillow_per_second": statistics.median(pillow),
        "share": statistics.median(a / b for a, b in zip(ours, pillow, strict=True)),
        "shares": [a / b for a, b in zip(ours, pillow, strict=True)],
        "share_of_processor_time": statistics.median(b / a for a, b in zip(ours_cpu, pillow_cpu, strict=True)),
    }
    print(
        f"{title}: {row['prepare_per_second']:,.0f}/s, Pillow in {workers} processes {row['pillow_per_second']:,.0f}/s, share {row['share']:.0%}"
        f" (of processor time {row['share_of_processor_time']:.0%})",
        flush=True,
    )
    return row


def loader_rate(folder: Path, batch: int = 64, seconds: float = 3.0) -> float:
    """Pictures per second that Pack.read gives in random rows of a pack of 50,000 pictures of 32 pixels."""
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
    """Seconds and peak memory (MB, all processes together) of fetch and prepare on an archive of pictures, in a process of its own."""
    from benchmarks.peak_memory import watch

    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from benchmarks.data import plan_of\n"
        "from transgan.data.fetch import fetch; from transgan.data.prepare import prepare\n"
        "plan = plan_of({'source': 'folder', 'path': sys.argv[2], 'resolution': 32, 'splits': [{'name': 'train'}, {'name': 'test'}]}, 1)\n"
        "a = time.perf_counter(); fetch(plan, 'it'); b = time.perf_counter(); prepare(plan, 'it'); c = time.perf_counter()\n"
        "print(b - a, c - b)"
    )
    root = str(Path(__file__).resolve().parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", code, root, str(path.resolve())], stdout=subprocess.PIPE, text=True
    )
    peak = watch(process)
    fetched, prepared = map(float, process.communicate()[0].split())
    return {"fetch_seconds": fetched, "prepare_seconds": prepared, "peak_megabytes": peak / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure prepare and the loader.")
    parser.add_argument("--pictures", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tar", type=Path)
    arguments = parser.parse_args()
    tar = arguments.tar.resolve() if arguments.tar else None
    workers = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {workers} cores, Python {platform.python_version()}, Pillow {Image.__version__}"
    }
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        result["load_average_before"] = os.getloadavg()[0]
        result["prepare"] = {
            case[0]: rates(case, arguments.rounds, workers) for case in cases(Path(temporary), arguments.pictures)
        }
        result["loader_per_second"] = loader_rate(Path("pack"))
        print(f"loader: {result['loader_per_second']:,.0f} pictures of 32 pixels a second", flush=True)
        if tar:
            result["tar"] = whole_tar(tar)
            print(f"{tar.name}: {result['tar']}", flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
