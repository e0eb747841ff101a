"""`transgan sample`: images of a generator as a grid (.png), an array (.npz) or a folder of PNGs.

Image i is the one that scoring uses as image i.
"""

import logging
import math
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transgan.config.plan import Plan
from transgan.config.validation import nearest
from transgan.errors import UserError
from transgan.hardware.device import prepare_compute
from transgan.metrics import samples
from transgan.metrics.generator_files import open_generator
from transgan.utils import files
from transgan.utils.console import progress
from transgan.utils.image_grid import BLACK, GAP, GRID_PIXELS, make_grid, resize, save_png

logger = logging.getLogger(__name__)

OTHER_FORMATS = (".jpg", ".jpeg", ".webp", ".gif", ".npy", ".zip")
DEFAULT_THREADS = 2  # for a generator file, which has no protocol


def sample(
    plan: Plan,
    target: str,
    out: Path,
    count: int = 64,
    seed: int = 0,
    batch: int = 50,
    quantization: samples.Quantization = "truncate",
) -> None:
    """Write the first `count` images of evaluation seed `seed` to `out`.

    `target` is a run, a .safetensors saved by this project, or a .pth of the authors. `out` is x.png for a grid, which
    enlarges small images, x.npz for an array `images` uint8 (N, H, W, 3), or a new or empty folder for PNGs. Raises
    UserError when the target is no generator, its images are not finite, or `out` cannot be written.
    """
    generator = open_generator(plan, target)
    if generator is None:
        raise UserError(
            f"{target}: no run of {plan.file} and no generator file (.safetensors, .pth)"
            f"{nearest(target, list(plan.runs))}"
        )
    if out.suffix.lower() in OTHER_FORMATS:
        raise UserError(f"{out}: name x.png for a grid, x.npz for an array, or a folder of PNGs")
    if count < 1:
        raise UserError(f"--count is {count}; it must be at least 1")
    threads = plan.runs[target].protocol.threads if target in plan.runs else DEFAULT_THREADS
    device = prepare_compute(threads, plan.device)
    batches = samples.uint8_samples(generator, seed, count, batch, quantization, device)
    shape = (count, generator.resolution, generator.resolution, 3)
    with progress(f"sample {target}", count, "images") as bar:

        def arrays() -> Iterator[NDArray[np.uint8]]:
            for images in batches:
                yield samples.to_numpy(images)
                bar.advance(len(images))

        if out.suffix == ".png":
            _write_grid(arrays(), out)
        elif out.suffix == ".npz":
            _write_array(arrays(), shape, out)
        else:
            _write_folder(arrays(), out)
    logger.info(f"sample {target}: {count} images in {out}")


def _write_grid(arrays: Iterator[NDArray[np.uint8]], out: Path) -> None:
    """Write a grid; each pixel of small images becomes a square of pixels, so that all of them can still be read."""
    images = np.concatenate(list(arrays))
    columns = math.ceil(math.sqrt(len(images)))
    side = images.shape[1] * max(1, GRID_PIXELS // (columns * images.shape[1]))
    enlarged = resize(images, side, side, Image.Resampling.NEAREST)
    save_png(out, make_grid(enlarged, columns, gap=GAP, background=BLACK))


def _write_array(arrays: Iterator[NDArray[np.uint8]], shape: tuple[int, int, int, int], out: Path) -> None:
    """Stream the images into the archive; np.savez would hold all of them in memory."""
    member = zipfile.ZipInfo("images.npy", (1980, 1, 1, 0, 0, 0))
    with (
        files.atomic(out) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
        archive.open(member, "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for images in arrays:
            file.write(images.tobytes())


def _write_folder(arrays: Iterator[NDArray[np.uint8]], out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: already exists; name a new folder, or x.png for a grid, x.npz for an array")
    unfinished = out.with_name(f".{out.name}.unfinished")
    with files.user_error_on_write(out):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        number = 0
        for images in arrays:
            for image in images:
                Image.fromarray(image).save(unfinished / f"{number:06d}.png")
                number += 1
        unfinished.replace(out)
