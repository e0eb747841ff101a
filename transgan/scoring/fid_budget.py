"""What moves FID by how much on the same images: one change of the evaluation at a time (`transgan fid-budget`).

The samples of one evaluation seed are changed (rounding, JPEG, resize, crop), or the reference, the number of samples,
the extractor or the generator's weights, and FID is computed again. `measure_images` does the same with real images in
place of samples, because a generator far from its data hides small effects.
"""

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from transgan.config.plan import Plan, Run
from transgan.data.pack import Pack, open_pack
from transgan.data.transforms import FILTERS
from transgan.errors import UserError
from transgan.hardware.device import prepare_compute
from transgan.metrics import extractors, image_sources, weights
from transgan.metrics.evaluator import title
from transgan.metrics.fid import FeatureStatistics, check_sample_counts, extrapolate_fid, frechet_distance
from transgan.metrics.generator_files import load_trained
from transgan.metrics.reference_statistics import load_reference
from transgan.metrics.samples import Quantization, to_numpy, uint8_samples
from transgan.metrics.subsets import evenly_spaced, random_halves
from transgan.models.base import GeneratorNetwork
from transgan.schema import ProtocolConfig
from transgan.scoring import reference as reference_stage
from transgan.scoring.evaluate import default_protocol, named_images

logger = logging.getLogger(__name__)

JPEG_QUALITIES = (95, 90, 75)
SAMPLE_SHARES = (0.1, 0.2, 0.5)
REFERENCE_SHARES = (0.25, 0.5)
CROP_SHARE = 0.875
Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # of images (B, H, W, 3)


@dataclass(frozen=True)
class Line:
    """FID under one change; None where it could not be measured, and `note` says why and what to do."""

    kind: str
    change: str
    fid: float | None
    note: str = ""


@dataclass(frozen=True)
class Budget:
    """All lines, and the FID that they are held against. `noise` is its standard deviation over evaluation seeds.

    `of_images` is true where real images take the place of samples; `run` is then their name.
    """

    run: str
    protocol: str
    title: str
    samples: int
    base: float
    noise: float | None
    floor: float | None
    lines: tuple[Line, ...]
    of_images: bool = False


def measure(
    plan: Plan, run_name: str, without_average: GeneratorNetwork | None, why_not: str = "", ports: Sequence[Path] = ()
) -> Budget:
    """Measure a finished run under its protocol.

    Args:
        plan: the plan.
        run_name: a trained run.
        without_average: its generator with the last weights instead of their moving average; None if not kept.
        why_not: what the table says if there is none.
        ports: weights of the protocol's extractor from other ports.

    Raises UserError when the run, its pack or the extractor's weights are missing.
    """
    run = plan.run(run_name)
    protocol = run.protocol
    generator = load_trained(plan, run_name)
    reference_stage.compute(plan, run.reference)
    reference = load_reference(plan.paths.reference(run.reference))
    weights_file, _ = weights.locate(plan, protocol)
    device = prepare_compute(protocol.threads, plan.device)
    of = _Features(protocol, weights_file, device, f"fid-budget {run_name}")

    def fid(features: Tensor) -> float:
        return frechet_distance(FeatureStatistics.of(features), reference.statistics)

    by_seed = {seed: of.samples(generator, seed) for seed in protocol.seeds}
    values = {seed: fid(features) for seed, features in by_seed.items()}
    seed, *other_seeds = protocol.seeds
    other: Quantization = "round" if protocol.quantize == "truncate" else "truncate"

    def lines() -> Iterator[Line]:
        for each in other_seeds:
            yield Line("evaluation seed", f"{each} instead of {seed}", values[each])
        yield Line("quantization", other, fid(of.samples(generator, seed, quantization=other)))
        for kind, name, change in changes():
            yield Line(kind, name, fid(of.samples(generator, seed, change)))
        yield from _by_count(by_seed[seed], fid)
        yield from _by_reference(plan, run, of, by_seed[seed])
        for port in ports:
            yield _by_port(plan, run, generator, port, device)
        if not ports:
            yield Line("extractor", "another port", None, "put its weights into data/incoming/ as port-NAME")
        raw = None if without_average is None else fid(of.samples(without_average, seed))
        yield Line("moving average", "off: the last weights", raw, why_not if raw is None else "")

    measured = _logged(of.label, values[seed], lines())
    noise = float(np.std(list(values.values()), ddof=1)) if other_seeds else None
    name = title("fid", protocol)
    return Budget(run_name, run.protocol_name, name, protocol.samples, values[seed], noise, reference.floor, measured)


def measure_images(plan: Plan, target: str, protocol_name: str | None = None) -> Budget:
    """Measure real images: one random half of them against the other, each of at most the protocol's samples.

    An evaluation seed draws the halves; the changes are of the first half of the first seed.

    Args:
        plan: the plan.
        target: a dataset, pack, folder, archive or array of images, as `evaluate` takes them.
        protocol_name: by default that of the runs on the dataset, or the first protocol.

    Raises UserError when images or weights are missing, or a half has fewer images than features.
    """
    name = protocol_name or default_protocol(plan, target, target)
    protocol = plan.protocol(name)
    images = named_images(plan, target, None, 2 * protocol.samples, None, protocol.resize)
    if images.count < 2:
        raise UserError(f"{target}: a single image has no halves; give as many as the protocol uses, twice")
    weights_file, _ = weights.locate(plan, protocol)
    of = _Features(protocol, weights_file, prepare_compute(protocol.threads, plan.device), f"fid-budget {target}")
    width = of.extractor.widths[of.layer]
    for warning in check_sample_counts(protocol, width, {f"half of {target}": images.count // 2}):
        logger.warning(warning)
    features = of.real(images)
    position = images.in_order(torch.arange(images.count))  # of each image in the stream

    def halves(seed: int) -> tuple[Tensor, Tensor]:
        changed, kept = random_halves(position, seed)
        return features[changed], features[kept]

    seed, *other_seeds = protocol.seeds
    values = {each: _distance(*halves(each)) for each in protocol.seeds}
    changed, kept = halves(seed)
    real = FeatureStatistics.of(kept)
    chosen = torch.zeros(images.count, dtype=torch.bool)
    chosen[random_halves(position, seed)[0]] = True
    again = "the images are JPEG or WebP before the change, too" if images.lossy else ""

    def lines() -> Iterator[Line]:
        for each in other_seeds:
            yield Line("halves", f"of evaluation seed {each} instead of {seed}", values[each])
        for kind, change_name, change in changes():
            value = frechet_distance(FeatureStatistics.of(of.real(images, change, chosen)), real)
            yield Line(kind, change_name, value, again if kind == "JPEG" else "")
        yield from _by_count(changed, lambda part: frechet_distance(FeatureStatistics.of(part), real))
        for share in REFERENCE_SHARES:
            if (count := round(share * len(kept))) >= width:
                yield Line("reference size", f"{count:,} of {len(kept):,} images", _distance(changed, kept[:count]))

    measured = _logged(of.label, values[seed], lines())
    noise = float(np.std(list(values.values()), ddof=1)) if other_seeds else None
    called = title("fid", protocol)
    return Budget(target, name, called, len(changed), values[seed], noise, None, measured, of_images=True)


def changes() -> Iterator[tuple[str, str, Change]]:
    """Changes of stored samples: kind, name, and the change of uint8 images (B, H, W, 3)."""
    for quality in JPEG_QUALITIES:
        yield "JPEG", f"quality {quality}", partial(_each, partial(_jpeg, quality))
    for name in FILTERS:
        yield "resize filter", f"{name}, from twice the side", partial(_each, partial(_resized, name))
    yield "crop", f"central {CROP_SHARE:.1%} of the side, enlarged again", partial(_each, _cropped)


def _logged(label: str, base: float, lines: Iterator[Line]) -> tuple[Line, ...]:
    """All lines, each logged when it is measured: with Inception on a CPU a table takes an hour."""
    logger.info(f"{label}: unchanged {base:.6g}")
    found = []
    for line in lines:
        if line.fid is not None:
            logger.info(f"{label}: {line.kind}, {line.change}: {line.fid:.6g}")
        found.append(line)
    return tuple(found)


def _each(change: Callable[[Image.Image], Image.Image], images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in images])


def _jpeg(quality: int, image: Image.Image) -> Image.Image:
    """The image as Pillow's JPEG, with halved chroma as it is by default."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def _resized(name: str, image: Image.Image) -> Image.Image:
    """The image as if it were stored at twice its side, every pixel four times, and reduced again: box changes none."""
    twice = image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)
    return twice.resize(image.size, FILTERS[name])


def _cropped(image: Image.Image) -> Image.Image:
    """The central part, enlarged to the whole side with a bilinear filter: as another crop of the data would be."""
    margin = (1 - CROP_SHARE) / 2 * image.width
    box = (margin, margin, image.width - margin, image.height - margin)
    return image.resize(image.size, Image.Resampling.BILINEAR, box=box)


class _Features:
    """Features of a protocol's layer, of samples or of real images."""

    def __init__(self, protocol: ProtocolConfig, weights_file: Path, device: torch.device, label: str) -> None:
        self.protocol, self.device, self.label = protocol, device, label
        self.layer = protocol.feature_layer
        self.extractor = extractors.build(protocol, weights_file, [self.layer], device)

    def samples(
        self,
        generator: GeneratorNetwork,
        seed: int,
        change: Change | None = None,
        quantization: Quantization | None = None,
    ) -> Tensor:
        """Of the protocol's samples of an evaluation seed, quantized and then changed: (samples, width)."""
        protocol = self.protocol
        batches = uint8_samples(
            generator, seed, protocol.samples, protocol.batch, quantization or protocol.quantize, self.device
        )
        if change is not None:
            batches = (_changed(change, batch) for batch in batches)
        return extractors.extract(self.extractor, batches, protocol.samples, self.label)[self.layer]

    def real(
        self, images: image_sources.ImageSource, change: Change | None = None, chosen: Tensor | None = None
    ) -> Tensor:
        """Of real images, changed, in stream order: (count, width). Only of those for which `chosen`, bool, is true."""
        batches = images.batches(self.protocol.batch)
        count = images.count
        if chosen is not None:
            batches, count = _selected(batches, chosen), int(chosen.sum())
        if change is not None:
            batches = (_changed(change, batch) for batch in batches)
        return extractors.extract(self.extractor, batches, count, f"{self.label}, real images")[self.layer]


def _selected(batches: Iterator[Tensor], chosen: Tensor) -> Iterator[Tensor]:
    start = 0
    for batch in batches:
        part = batch[chosen[start : start + len(batch)]]
        start += len(batch)
        if len(part):
            yield part


def _distance(one: Tensor, other: Tensor) -> float:
    return frechet_distance(FeatureStatistics.of(one), FeatureStatistics.of(other))


def _changed(change: Change, batch: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(change(to_numpy(batch)))).permute(0, 3, 1, 2)


def _by_count(features: Tensor, fid: Callable[[Tensor], float]) -> Iterator[Line]:
    """FID of the first samples, and at infinitely many: what is above that is bias."""
    counts = [count for share in SAMPLE_SHARES if (count := round(share * len(features))) >= features.shape[1]]
    values = [fid(features[:count]) for count in counts]
    for count, value in zip(counts, values, strict=True):
        yield Line("samples", f"{count:,}", value)
    if counts:
        infinite = extrapolate_fid([*counts, len(features)], [*values, fid(features)])
        yield Line("samples", "infinitely many (extrapolated in 1/n)", infinite, "what FID has above this is bias")


def _by_reference(plan: Plan, run: Run, of: _Features, samples: Tensor) -> Iterator[Line]:
    """FID against parts of the reference's images, and against each other split of the dataset."""
    pack = open_pack(plan, run.dataset_name, verify=True)
    generated = FeatureStatistics.of(samples)

    def against(rows: NDArray[np.int64]) -> float:
        return frechet_distance(generated, FeatureStatistics.of(of.real(image_sources.from_pack(pack, rows))))

    rows = _reference_rows(pack, run)
    for share in REFERENCE_SHARES:
        part = rows[evenly_spaced(len(rows), round(share * len(rows)))]
        if len(part) >= samples.shape[1]:
            yield Line("reference size", f"{len(part):,} of {len(rows):,} images", against(part))
    for split in pack.manifest["splits"]:
        if split not in run.protocol.splits:
            chosen = pack.rows([split])
            chosen = chosen[evenly_spaced(len(chosen), run.protocol.reference_samples)]
            few = len(chosen) < samples.shape[1]
            note = "fewer images than features" if few else ""
            yield Line("reference split", f"{split}, {len(chosen):,} images", None if few else against(chosen), note)


def _by_port(plan: Plan, run: Run, generator: GeneratorNetwork, port: Path, device: torch.device) -> Line:
    """FID with the same network's weights from another port, against a reference of its own."""
    if not port.is_file():
        raise UserError(f"{port}: no such file; name a file of weights of {run.protocol.extractor} with --port")
    of = _Features(run.protocol, port, device, f"fid-budget {run.name}, {port.name}")
    pack = open_pack(plan, run.dataset_name, verify=True)
    real = FeatureStatistics.of(of.real(image_sources.from_pack(pack, _reference_rows(pack, run))))
    generated = FeatureStatistics.of(of.samples(generator, run.protocol.seeds[0]))
    return Line("extractor", port.name, frechet_distance(generated, real))


def _reference_rows(pack: Pack, run: Run) -> NDArray[np.int64]:
    """The rows of the protocol's reference, as the stage `reference` selects them."""
    rows = pack.rows(run.protocol.splits)
    return rows[evenly_spaced(len(rows), run.protocol.reference_samples)]
