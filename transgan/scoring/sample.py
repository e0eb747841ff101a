"""`transgan sample`: a generator's pictures as a grid (.png), an array (.npz) or a folder of PNGs; picture i is the one that scoring sees as i."""

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
from transgan.errors import UserError
from transgan.hardware.device import prepare_compute
from transgan.metrics import samples
from transgan.scoring.evaluate import open_generator
from transgan.utils import files
from transgan.utils.console import progress

logger = logging.getLogger(__name__)

GAP = 2  # black pixels between the pictures of a grid


def sample(
    plan: Plan,
    target: str,
    out: Path,
    count: int = 64,
    seed: int = 0,
    batch: int = 50,
    quantize: samples.Quantize = "truncate",
) -> None:
    """Write the first `count` pictures of evaluation seed `seed` of a run, a .safetensors of ours or a .pth of the authors to `out`.

    `out`: x.png a grid, x.npz an array `images` uint8 (N, H, W, 3), anything else a folder of PNGs, which must not hold anything yet. Raises
    UserError when the target is no generator, its pictures are not finite, or `out` cannot be written.
    """
    generator = open_generator(plan, target)
    if generator is None:
        raise UserError(
            f"{target}: no run of {plan.file} and no generator file (.safetensors, .pth); known runs: {', '.join(plan.runs)}"
        )
    if out.suffix.lower() in (".jpg", ".jpeg", ".webp", ".gif", ".npy", ".zip"):
        raise UserError(f"{out}: name x.png for a grid, x.npz for an array, or a folder of PNGs")
    if count < 1:
        raise UserError(f"--count is {count}; at least one picture is needed")
    threads = plan.runs[target].protocol.threads if target in plan.runs else 2
    device = prepare_compute(threads, plan.params.execution.device)
    pictures = samples.uint8_samples(generator, seed, count, batch, quantize, device)
    shape = (count, generator.resolution, generator.resolution, 3)
    with progress(f"sample {target}", count, "images") as bar:

        def arrays() -> Iterator[NDArray[np.uint8]]:
            for part in pictures:
                yield part.permute(0, 2, 3, 1).contiguous().cpu().numpy()
                bar.advance(len(part))

        if out.suffix == ".png":
            _grid(arrays(), shape, out)
        elif out.suffix == ".npz":
            _array(arrays(), shape, out)
        else:
            _folder(arrays(), out)
    logger.info(f"sample {target}: {count} pictures in {out}")


def _grid(arrays: Iterator[NDArray[np.uint8]], shape: tuple[int, int, int, int], out: Path) -> None:
    count, side = shape[0], shape[1] + GAP
    columns = math.ceil(math.sqrt(count))
    sheet = np.zeros((math.ceil(count / columns) * side - GAP, columns * side - GAP, 3), np.uint8)
    number = 0
    for images in arrays:
        for image in images:
            top, left = number // columns * side, number % columns * side
            sheet[top : top + shape[1], left : left + shape[1]] = image
            number += 1
    with files.atomic(out) as temporary:
        Image.fromarray(sheet).save(temporary, "PNG")


def _array(arrays: Iterator[NDArray[np.uint8]], shape: tuple[int, int, int, int], out: Path) -> None:
    """Streamed into the archive: np.savez would hold all pictures at once."""
    member = zipfile.ZipInfo("images.npy", (1980, 1, 1, 0, 0, 0))
    with (
        files.atomic(out) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
        archive.open(member, "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for images in arrays:
            file.write(images.tobytes())


def _folder(arrays: Iterator[NDArray[np.uint8]], out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is there already; name a new folder, or x.png for a grid, x.npz for an array")
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
