"""Whether FID of Inception's layer 768 orders images as it should, and how fast scoring is beside the bare extractor.

    python benchmarks/scoring.py --weights W.pth --lossless IMAGES.npz --test IMAGES [--count N] [--threads N]

`--lossless` holds undistorted training images of 32 pixels. They are compared with the same images as JPEG, with noise,
and blurred; the JPEGs of them are compared with other images (`--test`, also JPEGs). Writes
benchmarks/results/scoring.json and a figure in docs/images. FID-768 is not FID: it comes from another layer and has
another scale.
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
from transgan.metrics import extractors, image_sources
from transgan.metrics.fid import FeatureStatistics, frechet_distance
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
    arguments = parser.parse_args()
    protocol = ProtocolConfig(
        metrics=("fid",),
        feature_layer="768",
        samples=arguments.count,
        threads=arguments.threads,
        allow_few_samples=True,
    )
    extractor = extractors.build(protocol, arguments.weights, ["768"], prepare_compute(arguments.threads, "cpu"))
    originals = image_sources.read_images(arguments.lossless)
    results: dict[str, object] = {"layer": "768", "count": arguments.count, "threads": arguments.threads}
    for values in distances(extractor, originals[: arguments.count], arguments.test):
        results["fid768"] = values
        files.write_json(arguments.out, results)  # after every set: on a busy machine, all of them take an hour
    draw(results, arguments.figure)
    results["speed"] = speed(extractor, originals)
    files.write_json(arguments.out, results)


def distances(extractor: extractors.Extractor, originals: Images, test: Path) -> Iterator[dict[str, object]]:
    """FID-768 of distorted and original images, and of test and training JPEGs. Every yield adds a value."""

    def statistics(source: image_sources.ImageSource, label: str) -> FeatureStatistics:
        return FeatureStatistics.of(extractors.extract(extractor, source.batches(50), source.count, label)["768"])

    def distorted(change: Callable[[Images], Images], label: str) -> FeatureStatistics:
        return statistics(image_sources.from_array(np.stack([change(image) for image in originals])), label)

    reference = statistics(image_sources.from_array(originals), "originals")
    values: dict[str, object] = {"itself": frechet_distance(reference, reference)}
    as_jpeg = distorted(jpeg, f"JPEG quality {JPEG_QUALITY}")
    values["jpeg"] = frechet_distance(as_jpeg, reference)
    yield values
    others = statistics(image_sources.from_path(test, len(originals), originals.shape[1], "none"), "test images")
    values["test_against_train"] = frechet_distance(others, as_jpeg)
    yield values
    random = np.random.default_rng(0)
    for name, levels, change in (("noise", NOISE, lambda level: noise(level, random)), ("blur", BLUR, blur)):
        rising: list[list[float]] = []
        values[name] = rising
        for level in levels:
            rising.append([level, frechet_distance(distorted(change(level), f"{name} {level}"), reference)])
            yield values


def jpeg(image: Images) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)  # chroma halved, Pillow's default
    return np.asarray(Image.open(buffer))


def noise(level: float, random: np.random.Generator) -> Callable[[Images], Images]:
    return lambda image: (image + random.normal(0, level, image.shape)).round().clip(0, 255).astype(np.uint8)


def blur(radius: float) -> Callable[[Images], Images]:
    return lambda image: np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def speed(extractor: extractors.Extractor, images: Images, batch: int = 20, batches: int = 2) -> dict[str, object]:
    """Images per CPU second of the bare forward pass and of extraction in scoring, alternating.

    `share` is the median over rounds of their ratio.
    """
    subset = images[: batch * batches]
    chunks = list(torch.split(torch.from_numpy(subset).permute(0, 3, 1, 2), batch))
    bare: list[float] = []
    scoring: list[float] = []
    forward(extractor, chunks[:1])
    for _ in range(SPEED_ROUNDS):
        bare.append(len(subset) / seconds(lambda: forward(extractor, chunks)))
        source = image_sources.from_array(subset)
        scoring.append(
            len(subset)
            / seconds(lambda source=source: extractors.extract(extractor, source.batches(batch), len(subset), "speed"))
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
    """CPU seconds of all threads; on a shared machine the wall clock would also measure other processes."""
    started = process_time()
    work()
    return process_time() - started


def draw(results: dict[str, object], path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    values: dict[str, object] = results["fid768"]  # type: ignore[assignment]
    figure, panels = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained", sharey=True)
    for panel, (name, unit) in zip(
        panels, (("noise", "standard deviation in grey levels"), ("blur", "radius in pixels")), strict=False
    ):
        levels, distances = zip(*values[name], strict=True)  # type: ignore[misc]
        panel.plot(levels, distances, "o-")
        panel.set(title=name.capitalize(), xlabel=unit, yscale="log")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("FID-768")
    bars = {"JPEG against\nlossless": values["jpeg"], "test against\ntrain": values["test_against_train"]}
    panels[2].bar(list(bars), list(bars.values()), width=0.5)
    panels[2].set(title="Other images")
    with files.atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
