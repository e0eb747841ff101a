"""What a plan costs before it is started: hours from counted operations, disk from known sizes. Imports no torch.

Operations are counted on the real training step (transgan.cost.estimate). Hours are operations over a rate: measured here by `transgan plan
--calibrate`, or a named device's published peak times an assumed share of it. Sizes of packs, statistics and networks follow from
params.yaml, those of archives from the catalog. No table holds hours: they differ between machines.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transgan.config.plan import Plan, Run
from transgan.data.sources.catalog import CATALOG
from transgan.errors import UserError
from transgan.hardware.info import device_bytes, device_name
from transgan.pipeline.freshness import carried
from transgan.schema import ProtocolConfig

GIB = 2**30
EXA = 1e18
SECONDS_PER_HOUR = 3600.0
ALWAYS = ("float32", "tf32", "bfloat16")

# Assumed share of a device's peak that training reaches. float32: on a V100 CIFAR-10 then takes 15 GPU-days and CelebA-HQ 84; the authors say 12
# (their issue 48, no GPU named) and 96 (issue 81). Tensor cores wait more on such narrow matrices: a guess.
ASSUMED_SHARE = {"float32": 0.4, "tf32": 0.2, "bfloat16": 0.2}

Part = Literal["archives", "packs", "references", "runs"]
Need = dict[tuple[Part, str], float]  # bytes by (part, name)


@dataclass(frozen=True)
class Device:
    """A device by name: peak rates in TFLOP/s of dense matrix products as its maker publishes them, and memory in GiB."""

    title: str
    peak: Mapping[str, float]
    memory_gib: float


DEVICES: dict[str, Device] = {
    "H200": Device("NVIDIA H200 SXM", {"float32": 67.0, "tf32": 494.7, "bfloat16": 989.4}, 140),
    "H100": Device("NVIDIA H100 SXM 80 GB", {"float32": 67.0, "tf32": 494.7, "bfloat16": 989.4}, 80),
    "A100": Device("NVIDIA A100 SXM 80 GB", {"float32": 19.5, "tf32": 156.0, "bfloat16": 312.0}, 80),
    "RTX 4090": Device("NVIDIA GeForce RTX 4090", {"float32": 82.6, "tf32": 82.6, "bfloat16": 165.2}, 24),
    "V100": Device(
        "NVIDIA V100 SXM2 32 GB (no TF32, no bfloat16: at float32's rate)",
        {"float32": 15.7, "tf32": 15.7, "bfloat16": 15.7},
        32,
    ),
}


@dataclass(frozen=True)
class Rate:
    """How fast one device trains: operations a second by precision, its memory in bytes, and in a sentence where that is from."""

    device: str
    measured: bool
    flops: Mapping[str, float]
    memory: int
    said: str

    def hours(self, run: Run, eflop: float) -> float | None:
        """Hours of one such device that a run's training takes; several devices share them. None: its precision was not measured."""
        flops = self.flops.get(run.recipe.precision)
        return eflop * EXA / flops / SECONDS_PER_HOUR if flops else None

    def plain(self) -> dict[str, Any]:
        """As JSON-compatible data."""
        return {
            "name": self.device,
            "measured": self.measured,
            "tflops": {key: value / 1e12 for key, value in self.flops.items()},
            "said": self.said,
        }


def named(name: str) -> Rate:
    """The rate assumed of a device in DEVICES, however it is spelt (rtx4090, RTX 4090). Raises UserError naming those there are."""
    spelt = {_letters(known): device for known, device in DEVICES.items()}
    device = spelt.get(_letters(name))
    if device is None:
        raise UserError(
            f"--device {name}: not known; known are {', '.join(DEVICES)}; for the device at hand use --calibrate instead"
        )
    shares = ", ".join(f"{precision} {share:.0%}" for precision, share in ASSUMED_SHARE.items())
    return Rate(
        device.title,
        False,
        {precision: device.peak[precision] * 1e12 * share for precision, share in ASSUMED_SHARE.items()},
        int(device.memory_gib * GIB),
        f"assumed, not measured: training at a share of the published dense peak ({shares})",
    )


def at_hand(plan: Plan) -> Rate | None:
    """The rate that `transgan plan --calibrate` measured on this device at this scale; None where it was not asked to, or on another device."""
    device = device_name(cpu=plan.params.execution.device == "cpu")
    found = carried(calibration_file(plan)).get(device)
    if found is None:
        return None
    products, own = found["product_tflops"], found["precision"]
    flops = {key: found["training_tflops"] * 1e12 * products[key] / products[own] for key in ALWAYS if key in products}
    said = (
        f"measured: {found['training_tflops']:.3g} TFLOP/s in training steps of {found['run']} at batch {found['batch']} in {own}, "
        f"{found['share']:.0%} of what matrix products reach; assumed of every other run, and not compiled"
    )
    return Rate(
        f"{device}, {found['threads']} thread{'s' * (found['threads'] > 1)}" if found["cpu"] else device,
        True,
        flops,
        device_bytes(),
        said,
    )


def calibration_file(plan: Plan) -> Path:
    """Where a scale's calibrations are remembered, by device."""
    return plan.paths.state / "calibration.json"


def disk(plan: Plan, run: Run, parameters: int) -> Need:
    """What a run needs on disk, each thing under a name of its own, so that what runs share is counted once.

    `parameters` are those of both networks. Raises nothing: a `folder` dataset's own pictures count as nothing, they are there already.
    """
    dataset, recipe = run.dataset, run.recipe
    pictures = {split.name: split.count or 0 for split in dataset.splits}
    picture = dataset.resolution**2 * 3
    archives = sum(file.approximate_bytes for file in CATALOG[dataset.source].files) if dataset.source in CATALOG else 0
    counted = min(sum(pictures[name] for name in run.protocol.splits), run.protocol.reference_samples or 10**12)
    # A checkpoint holds both networks, G's moving average, D's leaked gradient and two moments of every parameter, in float32.
    checkpoints = plan.params.execution.keep_checkpoints * 4 * 4 * parameters
    outputs = 4 * parameters + recipe.dynamics.points * recipe.dynamics.latents * picture
    return {
        ("archives", dataset.source): float(archives),
        ("packs", plan.fingerprint("prepare", run.dataset_name)): float(sum(pictures.values()) * (picture + 8)),
        ("references", f"{run.dataset_name}-{run.protocol_name}"): float(_reference_bytes(plan, run.protocol, counted)),
        ("runs", run.name): float(checkpoints + outputs),
    }


def united(needs: Iterable[Need]) -> Need:
    """What several runs need together."""
    return {key: size for need in needs for key, size in need.items()}


def _reference_bytes(plan: Plan, protocol: ProtocolConfig, pictures: int) -> int:
    layer = protocol.feature_layer
    width = (
        int(layer)
        if layer.isdigit()
        else max((classifier.features for classifier in plan.classifiers.values()), default=0)
    )
    kept = protocol.kept_features
    features = pictures if kept is True else min(kept, pictures)
    return 8 * width * (width + 1) + 4 * width * features


def _letters(name: str) -> str:
    return re.sub(r"nvidia|geforce|[^a-z0-9]", "", name.lower())
