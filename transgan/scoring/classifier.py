"""The demo's digit classifier: a small convolutional net that stands where Inception stands at paper scale.

Trained on one dataset by its own stage, seeded, on the CPU. Its logits give the Inception score, its last hidden layer FID, KID, precision
and recall. Scores from it compare demo runs with each other and with nothing else.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.freshness import require
from transgan.pipeline.workspace import run_stage
from transgan.schema import ClassifierConfig
from transgan.utils import files

if TYPE_CHECKING:
    from torch import Tensor

    from transgan.metrics.digit_classifier import DigitNet

logger = logging.getLogger(__name__)

WEIGHTS = "classifier.safetensors"


def train(plan: Plan, name: str) -> None:
    """The stage `classifier`: train classifier `name` on its dataset's pack and write plan.paths.classifier(name).

    Where no protocol of the scale uses the classifier, the file is empty and its metadata say so. Raises UserError when the pack is missing,
    has no labels, or the trained net gets less than `accuracy` of the test split right.
    """
    config = plan.classifier(name)
    needed = plan.classifier_needed
    data = plan.paths.data(config.dataset)
    if needed:
        require(plan, "prepare", config.dataset, data / "manifest.json", "prepare", config.dataset)
    inputs = {"data": files.read_json(data / "manifest.json")["sha256"]} if needed else {}

    def work(folder: Path) -> None:
        from safetensors.torch import save

        tensors, about = _trained(config, data) if needed else _empty(name, plan.scale_name)
        metadata = {**about, "fingerprint": plan.fingerprint("classifier", name)}
        files.write_bytes(folder / WEIGHTS, save(tensors, {"transgan": json.dumps(metadata, sort_keys=True)}))

    run_stage(plan, "classifier", name, {WEIGHTS: plan.paths.classifier(name)}, work, inputs)


def load(path: Path) -> "DigitNet":
    """The classifier saved in `path`, in eval mode on the CPU. Raises UserError when the file is missing, damaged or empty on purpose."""
    from safetensors import SafetensorError, safe_open

    from transgan.metrics.digit_classifier import DigitNet

    if not path.exists():
        raise UserError(f"{path}: not there; make it with `transgan classifier`")
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("transgan", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); delete it and make it again with `transgan classifier`") from error
    if not metadata.get("needed"):
        raise UserError(
            f"{path}: {metadata.get('why', 'not a classifier of ours')}; a protocol with `extractor: digits` needs a trained one"
        )
    net = DigitNet(metadata["resolution"], metadata["width"], metadata["features"], metadata["classes"])
    net.load_state_dict(tensors)
    return net.eval().requires_grad_(False)


def _trained(config: ClassifierConfig, data: Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Weights of a trained classifier, and what its file says about them."""
    from transgan.data.pack import Pack
    from transgan.hardware.device import prepare_compute
    from transgan.metrics import digit_classifier

    prepare_compute(config.threads, "cpu")
    pack = Pack.open(data)
    parts = {}
    for split in (config.train_split, config.test_split):
        rows = pack.rows([split])
        parts[split] = digit_classifier.Pictures.of(pack.images[rows], pack.labels[rows])
    if min(int(part.labels.min()) for part in parts.values()) < 0:
        raise UserError(f"{data}: has pictures without a label; a classifier needs a labelled dataset")
    net = digit_classifier.train(config, parts[config.train_split])
    accuracy = digit_classifier.accuracy(net, parts[config.test_split])
    if accuracy < config.accuracy:
        raise UserError(
            f"classifiers: {config.dataset}: gets {accuracy:.1%} of the split {config.test_split} right, "
            f"{config.accuracy:.0%} are asked for; raise its epochs or width"
        )
    logger.info(
        f"classifier on {config.dataset}: {accuracy:.2%} of {len(parts[config.test_split].labels)} held-out pictures right"
    )
    about = {
        "needed": True,
        "accuracy": accuracy,
        "resolution": net.resolution,
        "width": config.width,
        "features": config.features,
        "classes": net.classes,
        "data": pack.sha256,
    }
    return net.state_dict(), about


def _empty(name: str, scale: str) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """No weights, and why."""
    return {}, {"needed": False, "why": f"empty on purpose: no protocol of scale {scale} scores with classifier {name}"}
