"""Hours and disk space that a plan needs, computed before it starts.

Hours are the counted operations (transgan.cost.estimate) divided by a rate. The rate is measured on this device by
`transgan plan --calibrate`, or it is a named device's published peak times an assumed share of it. Sizes of packs,
statistics and networks follow from params.yaml, those of archives from the catalog. No table holds hours, because
they differ between machines.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transgan.config.paths import StageSubject
from transgan.config.plan import Plan, Run
from transgan.data.sources.catalog import CATALOG
from transgan.errors import UserError
from transgan.hardware.info import device_bytes, device_name
from transgan.pipeline.freshness import embedded_metadata
from transgan.schema import ProtocolConfig
from transgan.utils.units import GIB

EXA = 1e18
SECONDS_PER_HOUR = 3600.0
PRECISIONS = ("float32", "tf32", "bfloat16")

# Assumed share of a device's peak that training reaches, by `arithmetic`. With the share for float32, CIFAR-10 takes
# 15 GPU-days and CelebA-HQ 84 on a V100; the authors report 12 (their issue 48, no GPU named) and 96 (issue 81). The
# others are of a roofline of the CIFAR-10 pair on an H100, in which every operator takes the time for its bytes at 2.6
# TB/s or for its products at 280 (TF32) or 550 TFLOP/s (bfloat16), whichever is longer. An iteration of 15.9 TFLOP then
# takes 195 ms in TF32 and 166 ms in bfloat16. Compilation is expected to save 86 ms of passes over memory.
# Memory limits training, so the faster a device's tensor cores, the smaller the share.
ASSUMED_SHARE = {
    "float32": 0.4,
    "float32, compiled": 0.48,
    "tf32": 0.16,
    "tf32, compiled": 0.29,
    "bfloat16": 0.1,
    "bfloat16, compiled": 0.2,
}

Part = Literal["archives", "packs", "references", "runs"]
DiskNeed = dict[tuple[Part, StageSubject], float]  # bytes by part and what it is of


@dataclass(frozen=True)
class Device:
    """A device's published peak rates in TFLOP/s for dense matrix products, and its memory in GiB.

    A precision without a rate of its own is computed in float32.
    """

    title: str
    peak: Mapping[str, float]
    memory_gib: float


DEVICES: dict[str, Device] = {
    "H200": Device("NVIDIA H200 SXM", {"float32": 67.0, "tf32": 494.7, "bfloat16": 989.4}, 140),
    "H100": Device("NVIDIA H100 SXM 80 GB", {"float32": 67.0, "tf32": 494.7, "bfloat16": 989.4}, 80),
    "A100": Device("NVIDIA A100 SXM 80 GB", {"float32": 19.5, "tf32": 156.0, "bfloat16": 312.0}, 80),
    "RTX 4090": Device("NVIDIA GeForce RTX 4090", {"float32": 82.6, "tf32": 82.6, "bfloat16": 165.2}, 24),
    "V100": Device(
        "NVIDIA V100 SXM2 32 GB (no TF32, no bfloat16: computed at the float32 rate)",
        {"float32": 15.7},
        32,
    ),
}


@dataclass(frozen=True)
class Rate:
    """How fast one device trains.

    `flops` is operations a second by `arithmetic`, `memory` is in bytes, `basis` is a sentence on where the rate comes
    from.
    """

    device: str
    measured: bool
    flops: Mapping[str, float]
    memory: int
    basis: str

    def hours(self, run: Run, eflop: float) -> float | None:
        """Device-hours that `eflop` of a run's training take; None if its precision was not measured.

        A compiled run takes as long as an eager one where no rate of compiled code is known.
        """
        precision = run.recipe.precision
        flops = self.flops.get(arithmetic(precision, bool(run.recipe.compile))) or self.flops.get(precision)
        return eflop * EXA / flops / SECONDS_PER_HOUR if flops else None

    def plain(self) -> dict[str, Any]:
        """As JSON-compatible data."""
        return {
            "name": self.device,
            "measured": self.measured,
            "tflops": {key: value / 1e12 for key, value in self.flops.items()},
            "basis": self.basis,
        }


def assumed_rate(name: str) -> Rate:
    """The rate assumed for a device in DEVICES. Spelling is free (rtx4090, RTX 4090).

    Raises UserError for an unknown device.
    """
    device = {_letters(known): device for known, device in DEVICES.items()}.get(_letters(name))
    if device is None:
        raise UserError(
            f"--device {name}: unknown; known devices are {', '.join(DEVICES)}; "
            "for this machine's device use --calibrate"
        )
    flops = {}
    for precision, compiled in itertools.product(PRECISIONS, (False, True)):
        computed = precision if precision in device.peak else "float32"
        share = ASSUMED_SHARE[arithmetic(computed, compiled)]
        flops[arithmetic(precision, compiled)] = device.peak[computed] * 1e12 * share
    shares = "; ".join(f"{name} {share:.0%}" for name, share in ASSUMED_SHARE.items())
    return Rate(
        device.title,
        False,
        flops,
        int(device.memory_gib * GIB),
        f"assumed, not measured: training at a share of the published dense peak ({shares}); float32 from the authors' "
        "times, the others from a roofline of the CIFAR-10 pair on an H100 and what compilation is expected to save",
    )


def arithmetic(precision: str, compiled: bool) -> str:
    """How a step is computed, in words: `tf32`, or `tf32, compiled`."""
    return f"{precision}, compiled" if compiled else precision


def measured_rate(plan: Plan) -> Rate | None:
    """The rate that `transgan plan --calibrate` measured on this device at this scale; None without a measurement."""
    device = device_name(cpu=plan.params.execution.device == "cpu")
    calibration = embedded_metadata(calibration_file(plan)).get(device)
    if calibration is None:
        return None
    try:
        return _rate(device, calibration)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"{calibration_file(plan)}: damaged ({error!r}); delete it, then `{plan.command('plan', '--calibrate')}`"
        ) from error


def _rate(device: str, calibration: dict[str, Any]) -> Rate:
    training, products, own = (calibration[key] for key in ("training_tflops", "product_tflops", "precision"))
    flops = {key: training * 1e12 * products[key] / products[own] for key in PRECISIONS if key in products}
    basis = (
        f"measured: {training:.3g} TFLOP/s in training steps of {calibration['run']} "
        f"at batch {calibration['batch']} in {own}, "
        f"{calibration['share']:.0%} of the rate of matrix products; "
        "the same share is assumed for all runs, without torch.compile"
    )
    threads = f", {calibration['threads']} thread{'s' * (calibration['threads'] > 1)}" if calibration["cpu"] else ""
    return Rate(f"{device}{threads}", True, flops, device_bytes(), basis)


def calibration_file(plan: Plan) -> Path:
    """The file with a scale's calibrations: device name -> measurement."""
    return plan.paths.state / "calibration.json"


def disk_need(plan: Plan, run: Run, parameters: int) -> DiskNeed:
    """Disk space of a run in bytes. Each part has a name of its own, so that parts which runs share are counted once.

    `parameters` is the number of parameters of both networks. The images of a `folder` dataset are not counted, as
    they are on the disk already.
    """
    dataset, recipe = run.dataset, run.recipe
    images = {split.name: split.count or 0 for split in dataset.splits}
    image_bytes = dataset.resolution**2 * 3
    source = CATALOG.get(dataset.source)
    archives = sum(file.size for file in source.files_for(dataset.crop)) if source is not None else 0
    in_reference = min(sum(images[name] for name in run.protocol.splits), run.protocol.reference_samples or 10**12)
    # A checkpoint holds in float32: both networks, G's moving average, D's leaked gradient and two moments of every
    # parameter.
    checkpoints = plan.params.execution.keep_checkpoints * 4 * 4 * parameters
    outputs = 4 * parameters + len(recipe.snapshots) * recipe.dynamics.latents * image_bytes
    return {
        ("archives", dataset.source): float(archives),
        ("packs", plan.fingerprint("prepare", run.dataset_name)): float(sum(images.values()) * (image_bytes + 8)),
        ("references", run.reference): float(_reference_bytes(plan, run.protocol, in_reference)),
        ("runs", run.name): float(checkpoints + outputs),
    }


def combined(needs: Iterable[DiskNeed]) -> DiskNeed:
    """Disk space of several runs together."""
    return {key: size for need in needs for key, size in need.items()}


def _reference_bytes(plan: Plan, protocol: ProtocolConfig, images: int) -> int:
    layer = protocol.feature_layer
    width = (
        int(layer)
        if layer.isdigit()
        else max((classifier.features for classifier in plan.classifiers.values()), default=0)
    )
    features = images if protocol.stored_features is True else min(protocol.stored_features, images)
    return 8 * width * (width + 1) + 4 * width * features  # mu and sigma in float64, features in float32


def _letters(name: str) -> str:
    return re.sub(r"nvidia|geforce|[^a-z0-9]", "", name.lower())
