"""Inception's plumbing with random weights in the genuine format: layers, NaN, wrong files, and torch-fidelity called by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from transgan.errors import UserError
from transgan.hardware.device import set_precision
from transgan.metrics import extractors, functional, image_sources
from transgan.metrics.evaluator import title
from transgan.schema import ProtocolConfig

pytestmark = pytest.mark.slow

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PROTOCOL = ProtocolConfig(metrics=("fid",), feature_layer="64", samples=10, batch=4, threads=1, allow_few_samples=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of the genuine network with random weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp("weights") / "random.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(torch, "load", lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        state = FeatureExtractorInceptionV3("inception-v3-compat", ["64"], str(path)).state_dict()
    torch.save(state, path)
    return path


def some(count: int = 10, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def features(path: Path, images: torch.Tensor, batch: int = 4, device: torch.device = CPU) -> torch.Tensor:
    extractor = extractors.build(PROTOCOL, path, ["64"], device)
    source = image_sources.of_array(images.permute(0, 2, 3, 1).contiguous().numpy(), "random")
    return extractors.extract(extractor, source.batches(batch), len(images), "random")["64"]


def test_fid_equals_torch_fidelity_called_by_hand(weights: Path) -> None:
    from torch_fidelity import calculate_metrics

    class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __init__(self, seed: int) -> None:
            self.images = some(seed=seed)

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.images[index]

    hand = calculate_metrics(
        input1=Pictures(0),
        input2=Pictures(1),
        fid=True,
        feature_extractor="inception-v3-compat",
        feature_layer_fid="64",
        feature_extractor_weights_path=str(weights),
        batch_size=4,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )["frechet_inception_distance"]
    pair = [functional.Statistics.of(features(weights, some(seed=seed))) for seed in (0, 1)]
    assert functional.frechet(*pair) == pytest.approx(hand, abs=1e-6)


def test_the_batch_changes_nothing_that_counts(weights: Path) -> None:
    np.testing.assert_allclose(
        features(weights, some(7), batch=7), features(weights, some(7), batch=2), rtol=1e-4, atol=1e-6
    )


@pytest.mark.gpu
def test_a_gpu_gives_the_same_features(weights: Path) -> None:
    set_precision("float32")
    torch.testing.assert_close(features(weights, some(), device=GPU), features(weights, some()), atol=1e-4, rtol=1e-4)


def test_nan_features_end_in_a_clear_error(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state["Conv2d_2b_3x3.conv.weight"].fill_(float("nan"))
    torch.save(state, tmp_path / "partial.pth")
    with pytest.raises(
        UserError,
        match=r"features of layer 64 of inception-v3-compat \(.*partial\.pth\) are not finite; the weights file is partial",
    ):
        features(tmp_path / "partial.pth", some(4))


def test_weights_of_another_network_are_one_line(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="not the weights of inception-v3-compat"):
        features(tmp_path / "other.pth", some(2))


def test_an_unknown_layer_is_named(weights: Path) -> None:
    with pytest.raises(
        UserError, match="feature_layer '1024' is not a layer of inception-v3-compat, which has: 64, 192, 768, 2048"
    ):
        extractors.build(PROTOCOL, weights, ["1024"], CPU)


def test_only_layer_2048_may_be_called_fid() -> None:
    names = {
        layer: title("fid", PROTOCOL.model_copy(update={"feature_layer": layer})) for layer in ("64", "768", "2048")
    }
    assert names == {"64": "FID-64", "768": "FID-768", "2048": "FID"}
    assert title("is", PROTOCOL) == "IS"
