"""Whether FID of Inception's layer 768 orders pictures as it should, and how much of the extractor's bare speed scoring keeps.

    python benchmarks/scoring.py --weights W.pth --lossless PICTURES.npz --test FOLDER_OR_ARCHIVE [--count 500] [--threads 1]

`--lossless` holds undistorted training pictures of 32 pixels; what is measured against them: the same pictures as JPEG, with noise, blurred, and
other pictures (`--test`, which are JPEGs, against the JPEGs of the training pictures). Writes benchmarks/results/scoring.json and a figure in
docs/images. FID-768 is not FID: it comes from another layer and has another scale.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from transgan.hardware.device import prepare_compute
from transgan.metrics import extractors, functional, image_sources
from transgan.schema import ProtocolConfig
from transgan.utils import files

Images = NDArray[np.uint8]
JPEG_QUALITY = 75
NOISE = (5, 10, 20, 40)  # grey levels, standard deviation
BLUR = (0.5, 1.0, 2.0)  # pixels, standard deviation
SPEED_ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--lossless", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scoring.json"))
    parser.add_argument("--figure", type=Path, default=Path("docs/images/scoring-fid768.png"))
    given = parser.parse_args()
    protocol = ProtocolConfig(
        metrics=("fid",), feature_layer="768", samples=given.count, threads=given.threads, allow_few_samples=True
    )
    extractor = extractors.build(protocol, given.weights, ["768"], prepare_compute(given.threads, "cpu"))
    originals = image_sources.array(given.lossless)
    results: dict[str, object] = {"layer": "768", "count": given.count, "threads": given.threads}
    for found in distances(extractor, originals[: given.count], given.test):
        results["fid768"] = found
        files.write_json(given.out, results)  # after every set: on a busy machine all of them take an hour
    draw(results, given.figure)
    results["speed"] = speed(extractor, originals)
    files.write_json(given.out, results)


def distances(extractor: extractors.Extractor, originals: Images, test: Path) -> Iterator[dict[str, object]]:
    """FID-768 of every distortion against the originals, and of test against training pictures, both JPEGs; grows with every yield."""

    def statistics(source: image_sources.Pictures, what: str) -> functional.Statistics:
        return functional.Statistics.of(extractors.extract(extractor, source.batches(50), source.count, what)["768"])

    def distorted(change: Callable[[Images], Images], what: str) -> functional.Statistics:
        return statistics(image_sources.of_array(np.stack([change(image) for image in originals]), what), what)

    reference = statistics(image_sources.of_array(originals, "originals"), "originals")
    found: dict[str, object] = {"itself": functional.frechet(reference, reference)}
    as_jpeg = distorted(jpeg, f"JPEG quality {JPEG_QUALITY}")
    found["jpeg"] = functional.frechet(as_jpeg, reference)
    yield found
    others = statistics(image_sources.from_path(test, len(originals), originals.shape[1], "none"), "test pictures")
    found["test_against_train"] = functional.frechet(others, as_jpeg)
    yield found
    random = np.random.default_rng(0)
    for name, levels, change in (("noise", NOISE, lambda level: noise(level, random)), ("blur", BLUR, blur)):
        rising: list[list[float]] = []
        found[name] = rising
        for level in levels:
            rising.append([level, functional.frechet(distorted(change(level), f"{name} {level}"), reference)])
            yield found


def jpeg(image: Images) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)  # chroma halved, Pillow's default
    return np.asarray(Image.open(buffer))


def noise(level: float, random: np.random.Generator) -> Callable[[Images], Images]:
    return lambda image: (image + random.normal(0, level, image.shape)).round().clip(0, 255).astype(np.uint8)


def blur(radius: float) -> Callable[[Images], Images]:
    return lambda image: np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def speed(extractor: extractors.Extractor, images: Images, batch: int = 20, batches: int = 2) -> dict[str, object]:
    """Images per CPU second of the bare forward and of extraction as scoring does it, in turns; the median of the rounds' ratios counts."""
    some = images[: batch * batches]
    ready = [torch.from_numpy(some[start : start + batch]).permute(0, 3, 1, 2) for start in range(0, len(some), batch)]
    bare: list[float] = []
    scoring: list[float] = []
    forward(extractor, ready[:1])
    for _ in range(SPEED_ROUNDS):
        bare.append(len(some) / seconds(lambda: forward(extractor, ready)))
        source = image_sources.of_array(some, "speed")
        scoring.append(
            len(some)
            / seconds(lambda source=source: extractors.extract(extractor, source.batches(batch), len(some), "speed"))
        )
    return {
        "images_per_cpu_second_bare": bare,
        "images_per_cpu_second_scoring": scoring,
        "share": float(np.median(np.divide(scoring, bare))),
    }


def forward(extractor: extractors.Extractor, batches: list[Tensor]) -> None:
    with torch.inference_mode():
        for batch in batches:
            extractor.module(batch)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of all threads: on a machine that others use too, the wall clock measures them."""
    started = process_time()
    work()
    return process_time() - started


def draw(results: dict[str, object], path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found: dict[str, object] = results["fid768"]  # type: ignore[assignment]
    figure, panels = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained", sharey=True)
    for panel, (name, unit) in zip(
        panels, (("noise", "standard deviation in grey levels"), ("blur", "radius in pixels")), strict=False
    ):
        levels, values = zip(*found[name], strict=True)  # type: ignore[misc]
        panel.plot(levels, values, "o-")
        panel.set(title=name.capitalize(), xlabel=unit, yscale="log")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("FID-768")
    bars = {"JPEG against\nlossless": found["jpeg"], "test against\ntrain": found["test_against_train"]}
    panels[2].bar(list(bars), list(bars.values()), width=0.5)
    panels[2].set(title="Other pictures")
    with files.atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
