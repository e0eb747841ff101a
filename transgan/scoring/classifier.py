"""The stage `classifier`: trains the demo's digit classifier, which replaces Inception at that scale.

It is trained on one dataset, seeded, on the CPU. Its logits give the Inception score, its last hidden layer FID, KID,
precision and recall. These scores compare demo runs with each other and with nothing else.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transgan.config.paths import MANIFEST
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.freshness import require
from transgan.pipeline.stages import CLASSIFIER, stage
from transgan.pipeline.workspace import run_stage
from transgan.schema import ClassifierConfig
from transgan.utils import files

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


def train(plan: Plan, name: str, again: bool = False) -> None:
    """Train classifier `name` on its dataset's pack and write plan.paths.classifier(name).

    If no protocol of the scale uses the classifier, the file holds no weights and its metadata give this reason. Raises
    UserError when the pack is missing or has no labels, or when the network classifies less than `accuracy` of the test
    split correctly.
    """
    config = plan.classifier(name)
    needed = plan.classifier_needed
    data = plan.paths.data(config.dataset)
    if needed:
        require(plan, "prepare", config.dataset, data / MANIFEST, "prepare", config.dataset)
    prepare = plan.command("prepare", config.dataset)
    inputs = {"data": files.read_object(data / MANIFEST, prepare, sha256=str)["sha256"]} if needed else {}

    def work(folder: Path) -> None:
        from safetensors.torch import save

        tensors, about = _train(plan, config) if needed else _no_weights(name, plan.scale_name)
        metadata = {**about, "fingerprint": plan.fingerprint("classifier", name)}
        files.write_bytes(folder / CLASSIFIER, save(tensors, {"transgan": json.dumps(metadata, sort_keys=True)}))

    run_stage(plan, stage(plan, "classifier", name), work, inputs, again)


def _train(plan: Plan, config: ClassifierConfig) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Weights of a trained classifier, and the metadata of its file."""
    from transgan.data.pack import open_pack
    from transgan.hardware.device import prepare_compute
    from transgan.metrics import digit_classifier

    prepare_compute(config.threads, "cpu")
    pack = open_pack(plan, config.dataset, verify=True)
    splits = {}
    for split in (config.train_split, config.test_split):
        rows = pack.rows([split])
        splits[split] = digit_classifier.LabelledImages.from_arrays(pack.images[rows], pack.labels[rows])
    if min(int(split.labels.min()) for split in splits.values()) < 0:
        raise UserError(f"{config.dataset}: has images without a label; a classifier needs a labelled dataset")
    net = digit_classifier.train(config, splits[config.train_split])
    test = splits[config.test_split]
    accuracy = digit_classifier.accuracy(net, test)
    if accuracy < config.accuracy:
        raise UserError(
            f"classifiers: {config.dataset}: classifies {accuracy:.1%} of the split {config.test_split} correctly, "
            f"{config.accuracy:.0%} are required; increase its epochs or width"
        )
    logger.info(
        f"classifier on {config.dataset}: {accuracy:.2%} of {len(test.labels)} held-out images classified correctly"
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


def _no_weights(name: str, scale: str) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """No weights, and metadata with the reason."""
    return {}, {"needed": False, "why": f"empty on purpose: no protocol of scale {scale} scores with classifier {name}"}
