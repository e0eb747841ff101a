"""Extractors: the nets whose features are compared, all of them torch-fidelity's or registered with it.

`inception-v3-compat` is torch-fidelity's port of the TensorFlow 2015-12-05 Inception, which FID and IS are defined on (paper.md 3.4); `digits`
is the demo's classifier. Both take uint8 (B, 3, H, W) and resize it themselves, Inception as TensorFlow 1 did.
"""

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch_fidelity import FeatureExtractorBase, register_feature_extractor
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor

from transgan.errors import UserError
from transgan.hardware.device import send
from transgan.metrics.weights import inception_bytes
from transgan.schema import ProtocolConfig
from transgan.scoring import classifier
from transgan.utils.console import progress
from transgan.utils.units import duration

logger = logging.getLogger(__name__)

INCEPTION_LAYERS = {"64": 64, "192": 192, "768": 768, "2048": 2048}
LOGITS = {
    "inception-v3-compat": "logits_unbiased",
    "digits": "logits",
}  # the Inception score has always used logits without the bias
SLOW_SECONDS = 60.0


class DigitsExtractor(FeatureExtractorBase):  # type: ignore[misc]
    """The digit classifier as torch-fidelity wants an extractor."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str, **_: Any) -> None:
        super().__init__(name, features_list)
        self.net = classifier.load(Path(feature_extractor_weights_path))

    @staticmethod
    def get_provided_features_list() -> tuple[str, str]:
        """Names of its layers."""
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Logits for the Inception score, the last hidden layer for everything else."""
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled() -> bool:
        """No: there is nothing to gain."""
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """A picture for torch.compile, which is not used."""
        return torch.zeros(1, 3, 8, 8, dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The asked-for layers of uint8 images (B, 3, H, W), each (B, width)."""
        found = dict(zip(("features", "logits"), self.net(images), strict=True))
        return tuple(found[name] for name in self.features_list)


if "digits" not in FEATURE_EXTRACTORS_REGISTRY:
    register_feature_extractor("digits", DigitsExtractor)


@dataclass(frozen=True)
class Extractor:
    """A net in eval mode on its device, with the layers it is asked for."""

    module: nn.Module
    layers: tuple[str, ...]
    widths: dict[str, int]
    device: torch.device
    autocast: bool
    described: str

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features float32 (B, width) per layer, on the device, of uint8 images (B, 3, H, W) in [0, 255]."""
        mode: AbstractContextManager[Any] = (
            torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext()
        )
        with torch.inference_mode(), mode:
            found: tuple[Tensor, ...] = self.module(images)
        return {name: values.float() for name, values in zip(self.layers, found, strict=True)}


def build(protocol: ProtocolConfig, weights: Path, layers: Iterable[str], device: torch.device) -> Extractor:
    """The protocol's extractor from verified weights (see weights.py), giving `layers`.

    Raises UserError when it has no such layer or the weights are not its own.
    """
    names = list(dict.fromkeys(layers))
    known = FEATURE_EXTRACTORS_REGISTRY[protocol.extractor].get_provided_features_list()
    for name in names:
        if name not in known:
            raise UserError(
                f"protocol: feature_layer {name!r} is not a layer of {protocol.extractor}, which has: {', '.join(known)}"
            )
    content = str(weights) if protocol.extractor == "digits" else inception_bytes(weights)
    try:
        module = create_feature_extractor(
            protocol.extractor, names, cuda=device.type == "cuda", feature_extractor_weights_path=content, verbose=False
        )
    except RuntimeError as error:
        raise UserError(
            f"{weights}: not the weights of {protocol.extractor} ({str(error).splitlines()[0]}); delete or replace it"
        ) from error
    if protocol.extractor != "digits":
        module = module.to(memory_format=torch.channels_last)  # half as slow again without, on a CPU too
    widths = {"features": module.net.head.in_features} if protocol.extractor == "digits" else INCEPTION_LAYERS
    return Extractor(
        module, tuple(names), widths, device, protocol.precision == "bfloat16", f"{protocol.extractor} ({weights})"
    )


def extract(extractor: Extractor, batches: Iterable[Tensor], total: int, what: str) -> dict[str, Tensor]:
    """Features of all pictures in one pass: layer -> float32 (total, width) on the CPU.

    On a GPU nothing waits for the device until the end, so sampling, copying and extraction overlap. Raises UserError when features are not
    finite, after the first batch already where that tells.
    """
    kept: dict[str, list[Tensor]] = {name: [] for name in extractor.layers}
    with progress(what, total, "images") as bar:
        started = monotonic()
        for batch in batches:
            found = extractor(send(batch, extractor.device))
            if not kept[extractor.layers[0]]:
                _check_finite(found, extractor, what)
                _say_how_long(what, len(batch), total, monotonic() - started)
            for name, values in found.items():
                kept[name].append(values)
            bar.advance(len(batch))
    features = {name: torch.cat(values).cpu() for name, values in kept.items()}
    _check_finite(features, extractor, what)
    return features


def _say_how_long(what: str, count: int, total: int, seconds: float) -> None:
    expected = seconds * (total / count - 1)
    if expected > SLOW_SECONDS:
        logger.info(f"{what}: {total:,} images at about {count / seconds:.1f} a second: {duration(expected)} to go")


def _check_finite(features: dict[str, Tensor], extractor: Extractor, what: str) -> None:
    for name, values in features.items():
        if not bool(torch.isfinite(values).all()):
            raise UserError(
                f"{what}: features of layer {name} of {extractor.described} are not finite; "
                "the weights file is partial or damaged, or bfloat16 overflowed: replace it, name a layer it has, or use float32"
            )
