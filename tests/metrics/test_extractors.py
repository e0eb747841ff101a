"""Inception and VGG-16 with random weights in the published formats, also against torch-fidelity called by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.metrics.images import Images
from transgan.errors import UserError
from transgan.hardware.device import set_precision
from transgan.metrics import extractors, image_sources
from transgan.metrics.fid import FeatureStatistics, frechet_distance
from transgan.schema import ProtocolConfig

pytestmark = pytest.mark.slow

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PROTOCOL = ProtocolConfig(metrics=("fid",), feature_layer="64", samples=10, batch=4, threads=1, allow_few_samples=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of the published network with random weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp("weights") / "random.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(torch, "load", lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        state = FeatureExtractorInceptionV3("inception-v3-compat", ["64"], str(path)).state_dict()
    torch.save(state, path)
    return path


def random_images(count: int = 10, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def features(path: Path, images: torch.Tensor, batch: int = 4, device: torch.device = CPU) -> torch.Tensor:
    extractor = extractors.build(PROTOCOL, path, ["64"], device)
    source = image_sources.from_array(images.permute(0, 2, 3, 1).contiguous().numpy())
    return extractors.extract(extractor, source.batches(batch), len(images), "random")["64"]


def test_fid_equals_torch_fidelity_called_by_hand(weights: Path) -> None:
    from torch_fidelity import calculate_metrics

    hand = calculate_metrics(
        input1=Images(random_images(seed=0)),
        input2=Images(random_images(seed=1)),
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
    pair = [FeatureStatistics.of(features(weights, random_images(seed=seed))) for seed in (0, 1)]
    assert frechet_distance(*pair) == pytest.approx(hand, abs=1e-6)


def test_the_batch_changes_nothing_but_rounding(weights: Path) -> None:
    np.testing.assert_allclose(
        features(weights, random_images(7), batch=7), features(weights, random_images(7), batch=2), rtol=1e-4, atol=1e-6
    )


@pytest.mark.gpu
def test_a_gpu_gives_the_same_features(weights: Path) -> None:
    set_precision("float32")
    torch.testing.assert_close(
        features(weights, random_images(), device=GPU), features(weights, random_images()), atol=1e-4, rtol=1e-4
    )


def test_nan_features_end_in_a_clear_error(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state["Conv2d_2b_3x3.conv.weight"].fill_(float("nan"))
    torch.save(state, tmp_path / "partial.pth")
    with pytest.raises(
        UserError,
        match=r"features of layer 64 of inception-v3-compat \(.*partial\.pth\) are not finite; the weights file is",
    ):
        features(tmp_path / "partial.pth", random_images(4))


def test_weights_of_another_network_are_one_line(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="not the weights of inception-v3-compat"):
        features(tmp_path / "other.pth", random_images(2))


def test_an_unknown_layer_is_named(weights: Path) -> None:
    with pytest.raises(
        UserError, match="feature_layer '1024' is not a layer of inception-v3-compat, which has: 64, 192, 768, 2048"
    ):
        extractors.build(PROTOCOL, weights, ["1024"], CPU)


VGG = ProtocolConfig(metrics=("prc",), extractor="vgg16", feature_layer="fc2_relu", samples=6, threads=1)


@pytest.fixture(scope="module")
def vgg_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of torchvision's VGG-16 with random weights."""
    import torchvision

    path = tmp_path_factory.mktemp("vgg") / "random.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = torchvision.models.vgg16().state_dict()
    torch.save(state, path)
    return path


def test_vgg16_features_are_torchvisions_second_fully_connected_layer(vgg_weights: Path) -> None:
    """Resized as TensorFlow 1 did, from the upper left corner of each pixel, to 224 x 224, and normalized."""
    import torchvision

    images = random_images(3)
    extractor = extractors.build(VGG, vgg_weights, ["fc2", "fc2_relu"], CPU)
    features = extractor(images)
    assert (
        extractor.widths
        == {layer: values.shape[1] for layer, values in features.items()}
        == dict.fromkeys(("fc2", "fc2_relu"), 4096)
    )
    net = torchvision.models.vgg16()
    net.load_state_dict(torch.load(vgg_weights, weights_only=True))
    net.eval()
    where = torch.arange(224) * 32 / 224  # source coordinates
    low, share = where.long(), where.frac()
    high = (low + 1).clamp(max=31)
    rows = torch.lerp(images.float()[:, :, low], images.float()[:, :, high], share[:, None])
    resized = torch.lerp(rows[..., low], rows[..., high], share)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.inference_mode():
        hidden = net.avgpool(net.features((resized / 255 - mean) / std)).flatten(1)
        expected = net.classifier[:4](hidden)
    torch.testing.assert_close(features["fc2"], expected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(features["fc2_relu"], expected.relu(), atol=1e-4, rtol=1e-3)
    assert (features["fc2"] < 0).any()


def test_precision_and_recall_of_vgg16_equal_torch_fidelity_called_by_hand(vgg_weights: Path) -> None:
    from torch_fidelity import calculate_metrics

    from transgan.metrics.evaluator import evaluate_sources, stored_images
    from transgan.metrics.reference_statistics import compute_reference

    real, generated = random_images(6, seed=0), torch.cat([random_images(3, seed=0), random_images(3, seed=1) // 8])
    hand = calculate_metrics(
        input1=Images(generated),
        input2=Images(real),
        prc=True,
        feature_extractor="vgg16",
        feature_layer_prc="fc2_relu",
        feature_extractor_weights_path=str(vgg_weights),
        prc_neighborhood=VGG.prc_neighborhood,
        batch_size=3,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    sources = [image_sources.from_array(x.permute(0, 2, 3, 1).contiguous().numpy()) for x in (real, generated)]
    reference = compute_reference(sources[0], VGG, vgg_weights, CPU)
    result = evaluate_sources([stored_images(sources[1], VGG)], reference, VGG, vgg_weights, CPU)
    values = {name: metric["values"] for name, metric in result["metrics"].items()}
    assert values == {"precision": [hand["precision"]], "recall": [hand["recall"]]}
    assert 0 < values["precision"][0] < 1  # three of the images are real ones
    assert result["settings"]["titles"]["precision"] == "precision-vgg16"


def test_vgg16_gives_no_inception_score() -> None:
    with pytest.raises(ValueError, match="`extractor: vgg16` has no Inception score"):
        ProtocolConfig(metrics=("is", "fid"), extractor="vgg16", feature_layer="fc2_relu")
