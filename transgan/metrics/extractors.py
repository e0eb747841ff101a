"""Extractors: the networks whose features are compared. They are torch-fidelity's own or registered with it.

`inception-v3-compat` is torch-fidelity's port of TensorFlow's Inception of 2015-12-05, on which FID and IS are defined
(docs/paper.md 3.4). `vgg16` is torchvision's VGG-16, on whose features improved precision and recall are defined.
`digits` is the demo's classifier. All take uint8 (B, 3, H, W) and resize it themselves, Inception and VGG-16 as
TensorFlow 1 did.
"""

import io
import logging
import pickle
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
from transgan.metrics import digit_classifier
from transgan.schema import ProtocolConfig
from transgan.utils.console import progress
from transgan.utils.units import duration

logger = logging.getLogger(__name__)

WIDTHS = {
    "inception-v3-compat": {"64": 64, "192": 192, "768": 768, "2048": 2048},
    "vgg16": {"fc2": 4096, "fc2_relu": 4096},  # the second fully connected layer, before and after its ReLU
}
# The layer of the Inception score, which has always used Inception's logits without the bias.
LOGITS = {"inception-v3-compat": "logits_unbiased", "digits": "logits"}
SLOW_SECONDS = 60.0


class DigitsExtractor(FeatureExtractorBase):  # type: ignore[misc]
    """The digit classifier with torch-fidelity's interface of an extractor."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str, **_: Any) -> None:
        super().__init__(name, features_list)
        self.net = digit_classifier.load(Path(feature_extractor_weights_path))

    @staticmethod
    def get_provided_features_list() -> tuple[str, str]:
        """Names of its layers."""
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Logits for the Inception score, the last hidden layer for every other metric."""
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled() -> bool:
        """False: such a small network gains nothing."""
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """An image for torch.compile, which is not used."""
        return torch.zeros(1, 3, 8, 8, dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The requested layers of uint8 images (B, 3, H, W), each (B, width)."""
        layers = dict(zip(("features", "logits"), self.net(images), strict=True))
        return tuple(layers[name] for name in self.features_list)


if "digits" not in FEATURE_EXTRACTORS_REGISTRY:
    register_feature_extractor("digits", DigitsExtractor)


@dataclass(frozen=True)
class Extractor:
    """A network in evaluation mode on its device, the layers it returns, and the number of features of every layer."""

    module: nn.Module
    layers: tuple[str, ...]
    widths: dict[str, int]
    device: torch.device
    autocast: bool
    description: str

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features float32 (B, width) per layer, on the device, of uint8 images (B, 3, H, W)."""
        mode: AbstractContextManager[Any] = (
            torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext()
        )
        with torch.inference_mode(), mode:
            outputs: tuple[Tensor, ...] = self.module(images)
        return {layer: values.float() for layer, values in zip(self.layers, outputs, strict=True)}


def build(protocol: ProtocolConfig, weights: Path, layers: Iterable[str], device: torch.device) -> Extractor:
    """The protocol's extractor with verified weights (see weights.py), which returns `layers`.

    Raises UserError when it has no such layer, or the file does not hold its weights.
    """
    names = list(dict.fromkeys(layers))
    known = FEATURE_EXTRACTORS_REGISTRY[protocol.extractor].get_provided_features_list()
    for name in names:
        if name not in known:
            raise UserError(
                f"protocol: feature_layer {name!r} is not a layer of {protocol.extractor}, "
                f"which has: {', '.join(known)}"
            )
    content = str(weights) if protocol.extractor == "digits" else safe_bytes(weights)
    try:
        module = create_feature_extractor(
            protocol.extractor, names, cuda=device.type == "cuda", feature_extractor_weights_path=content, verbose=False
        )
    except RuntimeError as error:
        raise UserError(
            f"{weights}: not the weights of {protocol.extractor} ({str(error).splitlines()[0]}); delete or replace it"
        ) from error
    if protocol.extractor != "digits":
        module = module.to(memory_format=torch.channels_last)  # without it, Inception takes 1.65 times as long on a CPU
    widths = {"features": module.net.head.in_features} if protocol.extractor == "digits" else WIDTHS[protocol.extractor]
    return Extractor(
        module, tuple(names), widths, device, protocol.precision == "bfloat16", f"{protocol.extractor} ({weights})"
    )


def safe_bytes(path: Path) -> io.BytesIO:
    """The state dict in `path` as bytes that are safe to unpickle: read with weights_only=True and serialized again.

    torch-fidelity itself reads with weights_only=False. Raises UserError when the file is not a plain dict of tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: truncated, or not a weights file ({first}); delete it and get it again") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: not a state dict of tensors; name a file of weights in the published format")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def extract(extractor: Extractor, batches: Iterable[Tensor], total: int, label: str) -> dict[str, Tensor]:
    """Features of all images in one pass: layer -> float32 (total, width) on the CPU.

    `label` names the work in messages. On a GPU nothing waits for the device until the end, so sampling, copying and
    extraction overlap. Raises UserError when features are not finite; the first batch is checked at once.
    """
    features: dict[str, list[Tensor]] = {layer: [] for layer in extractor.layers}
    with progress(label, total, "images") as bar:
        started = monotonic()
        for batch in batches:
            new = extractor(send(batch, extractor.device))
            if not features[extractor.layers[0]]:
                _check_finite(new, extractor, label)
                _report_expected_time(label, len(batch), total, monotonic() - started)
            for layer, values in new.items():
                features[layer].append(values)
            bar.advance(len(batch))
    concatenated = {layer: torch.cat(values).cpu() for layer, values in features.items()}
    _check_finite(concatenated, extractor, label)
    return concatenated


def _report_expected_time(label: str, count: int, total: int, seconds: float) -> None:
    expected = seconds * (total / count - 1)
    if expected > SLOW_SECONDS:
        logger.info(f"{label}: {total:,} images at about {count / seconds:.1f} a second: {duration(expected)} to go")


def _check_finite(features: dict[str, Tensor], extractor: Extractor, label: str) -> None:
    for layer, values in features.items():
        if not bool(torch.isfinite(values).all()):
            raise UserError(
                f"{label}: features of layer {layer} of {extractor.description} are not finite; "
                "the weights file is partial or damaged, or bfloat16 overflowed: "
                "replace the file, name another layer, or use float32"
            )
