import json

import pytest
import safetensors.torch
import torch

from transgan.errors import UserError
from transgan.models import build_generator
from transgan.models.serialization import load_generator, save_generator

from .test_networks import randomized, small_generator


def test_a_generator_is_read_with_its_configuration_and_metadata(tmp_path):
    config = small_generator()
    module = randomized(build_generator(config))
    save_generator(tmp_path / "g.safetensors", module, config, {"run": "a", "images": 7})
    saved = load_generator(tmp_path / "g.safetensors")
    z, noise = torch.randn(2, 6), torch.randn(2, module.noise_width)
    assert torch.equal(saved.module(z, noise), module(z, noise))
    assert not saved.module.training
    assert saved.config == config
    assert saved.metadata["run"] == "a"


def test_the_same_weights_give_the_same_bytes_with_one_metadata_key(tmp_path):
    config = small_generator()
    module = build_generator(config)
    for name in ("a", "b"):
        save_generator(tmp_path / name, module, config, {"z": 1, "a": [2]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with safetensors.safe_open(tmp_path / "a", framework="pt") as file:
        assert list(file.metadata()) == ["transgan"]
        text = file.metadata()["transgan"]
    assert text == json.dumps(json.loads(text), sort_keys=True)


def test_a_locality_schedule_is_restored_to_the_saved_progress(tmp_path):
    stages = [{"blocks": [{"depth": 1}]}, {"blocks": [{"depth": 1}]}]
    config = small_generator(
        latent_attention=False, noise=False, stages=stages, locality_band=[{"until": 100, "width": 1}]
    )
    module = randomized(build_generator(config))
    z = torch.randn(1, 6)
    banded = module(z)
    save_generator(tmp_path / "early", module, config, {"images": 50})
    save_generator(tmp_path / "late", module, config, {"images": 150})
    assert torch.equal(load_generator(tmp_path / "early").module(z), banded)
    assert not torch.allclose(load_generator(tmp_path / "late").module(z), banded)


def test_a_generator_trained_on_normalized_latents_normalizes_them_after_loading(tmp_path):
    config = small_generator(latent_attention=False, noise=False)
    module = randomized(build_generator(config))
    z = torch.randn(3, 6)
    plain = module(z)
    save_generator(tmp_path / "plain", module, config, {})
    save_generator(tmp_path / "normalized", module, config, {"normalize_latent": True})
    assert torch.equal(load_generator(tmp_path / "plain").module(z), plain)
    loaded = load_generator(tmp_path / "normalized").module
    rms = z.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(loaded(z), module(z / rms))
    torch.testing.assert_close(loaded(7 * z), loaded(z), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(loaded(z), plain)


def test_files_without_a_valid_generator_are_refused_in_one_line(tmp_path):
    config = small_generator()
    save_generator(tmp_path / "whole", build_generator(config), config, {})
    (tmp_path / "truncated").write_bytes((tmp_path / "whole").read_bytes()[:-100])
    (tmp_path / "text").write_text("hello")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "foreign")
    safetensors.torch.save_file(
        {"a": torch.zeros(1)}, tmp_path / "keys", {"transgan": json.dumps({"generator": config.plain()})}
    )
    safetensors.torch.save_file(
        {"a": torch.zeros(1)}, tmp_path / "config", {"transgan": json.dumps({"generator": {"latent": 0}})}
    )
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "json", {"transgan": "{"})
    for name in ("missing", "truncated", "text", "foreign", "keys", "config", "json"):
        with pytest.raises(UserError) as caught:
            load_generator(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("images", "many"),
        ("images", [1]),
        ("generator", {"depth": 10**9}),
        ("generator", {"width": 10**9}),
        ("generator", []),
        ("generator", None),
    ],
)
def test_metadata_that_claim_another_network_are_one_line(tmp_path, key, value):
    config = small_generator()
    save_generator(tmp_path / "whole", build_generator(config), config, {"images": 7})
    with safetensors.safe_open(tmp_path / "whole", framework="pt") as file:
        metadata = json.loads(file.metadata()["transgan"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    if isinstance(value, dict) and "depth" in value:
        metadata["generator"]["stages"][0]["blocks"][0] |= value
    elif isinstance(value, dict):
        metadata["generator"] |= value
    else:
        metadata[key] = value
    path = tmp_path / "other"
    path.write_bytes(safetensors.torch.save(tensors, {"transgan": json.dumps(metadata)}))
    with pytest.raises(UserError, match=r"other: .*save it again") as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)
