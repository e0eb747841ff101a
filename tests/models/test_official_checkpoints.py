"""State dicts and checkpoint files in the authors' format. test_parity.py compares outputs with theirs."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transgan.errors import UserError
from transgan.models import build_discriminator, build_generator
from transgan.models.official_checkpoints import from_state_dict, import_official
from transgan.models.serialization import load_generator
from transgan.schema.model import TransformerDiscriminator, TransformerGenerator


def released_keys(
    module: torch.nn.Module, second_group: dict[int, int] | None = None, numbered: bool = True
) -> dict[str, torch.Tensor]:
    """The state of a network under the authors' names. `second_group`: stage -> its first block in blocks_<stage>1."""
    is_generator = hasattr(module, "to_rgb")
    state = {}
    for name, value in module.state_dict().items():
        found = re.match(r"stages\.(\d+)\.blocks\.(\d+)\.(.*)", name)
        if found:
            stage, block, rest = int(found[1]), int(found[2]), found[3]
            name = f"{released_block(stage, block, is_generator, second_group or {}, numbered)}.{rest}"
        for old, new in (
            (r"^stages\.(\d+)\.position$", lambda m: f"pos_embed_{int(m[1]) + 1}"),
            (r"^patches\.(\d+)", lambda m: f"fRGB_{int(m[1]) + 1}"),
            (r"^project", "l1"),
            (r"^embed\.project", "embedding_transform"),
            (r"^embed\.position", "embed_pos"),
            (r"^to_rgb", "deconv.0"),
            (r"^class_token", "cls_token"),
            (r"^last_block", "last_block.0"),
            (r"(norm\d?)\.(weight|bias)", r"\1.norm.\2"),
            (r"\.attention\.", ".attn."),
            (r"relative_table", "relative_position_bias_table"),
            (r"noise_strength", "noise_strength_1"),
            (r"cross_attention\.(query|key|value)", lambda m: f"cross_attention.{m[1][0]}_transform"),
            (r"\.expand", ".mlp.fc1"),
            (r"\.contract", ".mlp.fc2"),
        ):
            name = re.sub(old, new, name)
        state[name] = value[:, :, None, None] if name == "deconv.0.weight" else value
    return state


def released_block(stage: int, block: int, is_generator: bool, second_group: dict[int, int], numbered: bool) -> str:
    if is_generator and not numbered:
        return f"blocks.block.{block}" if stage == 0 else f"upsample_blocks.{stage - 1}.block.{block}"
    if is_generator:
        return f"blocks_{stage + 1}.block.{block}"
    first = second_group.get(stage, 10**6)
    return f"blocks_{stage + 1}.{block}" if block < first else f"blocks_{stage + 1}1.{block - first}"


def generator(**changes: Any) -> TransformerGenerator:
    stages = [
        {"blocks": [{"depth": 1}]},
        {"upsample": "bicubic", "blocks": [{"depth": 3}]},
        {"upsample": "pixel_shuffle", "blocks": [{"depth": 2, "attention": "grid", "window": 4}]},
    ]
    return TransformerGenerator.model_validate(
        {"latent": 5, "width": 48, "bottom_width": 3, "norm": "pixel", "stages": stages, **changes}
    )


def discriminator(**changes: Any) -> TransformerDiscriminator:
    stages = [{"share": 0.25, "blocks": [{"depth": 2}]}, {"share": 0.75, "blocks": [{"depth": 1}]}]
    return TransformerDiscriminator.model_validate({"width": 32, "patch": 2, "stages": stages, **changes})


def randomized(module: torch.nn.Module) -> torch.nn.Module:
    for name, parameter in module.named_parameters():
        torch.nn.init.normal_(parameter, std=0.1 if "noise_strength" not in name else 0.0)
    return module.eval()


def assert_same_output(
    module: torch.nn.Module, state: dict[str, torch.Tensor], shape: tuple[int, ...], **known: Any
) -> None:
    given = torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(
            from_state_dict(state, **known)(given).flatten(), module(given).flatten(), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("norm", ["layer", "pixel", "none"])
@pytest.mark.parametrize("noise", [True, False])
def test_generators_of_other_widths_depths_and_norms_are_recognised(norm, noise):
    stages = [{"blocks": [{"depth": 1}]}, {"blocks": [{"depth": 0}]}, {"upsample": "bicubic", "blocks": [{"depth": 2}]}]
    module = randomized(
        build_generator(
            generator(norm=norm, noise=noise, width=80, bottom_width=2, heads=5, mlp_ratio=2, stages=stages)
        )
    )
    assert_same_output(module, released_keys(module), (2, 5), **({"norm": "none"} if norm == "none" else {}))


def test_windows_are_inferred_from_the_relative_position_tables():
    stages = [{"blocks": [{"depth": 1}]}, {"blocks": [{"depth": 1, "attention": "grid", "window": 3}, {"depth": 1}]}]
    module = randomized(build_generator(generator(width=64, stages=stages)))
    assert_same_output(module, released_keys(module), (2, 5))


def test_without_tables_stages_after_a_pixel_shuffle_have_the_released_window_or_the_given_one():
    stages = [{"blocks": [{"depth": 1}]}, {"blocks": [{"depth": 1, "attention": "grid", "window": 16}]}]
    module = randomized(build_generator(generator(width=64, bottom_width=16, relative_position=False, stages=stages)))
    assert_same_output(module, released_keys(module), (2, 5))
    stages[1]["blocks"][0]["window"] = 4
    module = randomized(build_generator(generator(width=64, bottom_width=16, relative_position=False, stages=stages)))
    for known in ({"window": 4}, {"g_window_size": 4}, {"generator_window": 4, "discriminator_window": 8}):
        assert_same_output(module, released_keys(module), (2, 5), **known)


def test_32_pixel_names_mean_standard_attention_and_the_authors_arguments_are_accepted():
    stages = [{"blocks": [{"depth": 2}]}, {"blocks": [{"depth": 1}]}, {"blocks": [{"depth": 1}]}]
    module = randomized(
        build_generator(generator(width=64, norm="layer", relative_position=False, noise=True, stages=stages))
    )
    known = {"gf_dim": 64, "g_depth": "2,1,1", "latent_dim": 5, "img_size": 12, "bottom_width": 3}
    assert_same_output(module, released_keys(module, numbered=False), (2, 5), **known)


def test_the_cross_attention_generator_is_recognised():
    stages = [
        {"blocks": []},
        {"upsample": "bicubic", "blocks": [{"depth": 1}]},
        {"blocks": [{"depth": 1, "attention": "grid", "window": 4}]},
        {"blur": True, "blocks": [{"depth": 2, "attention": "grid", "window": 4}]},
    ]
    module = randomized(
        build_generator(generator(width=64, bottom_width=4, noise=True, latent_attention=True, stages=stages))
    )
    assert_same_output(module, released_keys(module), (2, 5))


@pytest.mark.parametrize("norm", ["layer", "pixel", "none"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_discriminators_are_recognised_with_index_buffers_and_prefix(norm, prefix):
    module = randomized(build_discriminator(discriminator(norm=norm, noise=True), 16))
    state = {f"{prefix}{key}": value.half().float() for key, value in released_keys(module).items()}
    module.load_state_dict({key: value.half().float() for key, value in module.state_dict().items()})
    state[f"{prefix}blocks_1.0.attn.relative_position_index"] = torch.zeros(64, 64, dtype=torch.long)
    state[f"{prefix}Hz_fbank"] = torch.zeros(4, 12)
    assert_same_output(module, state, (3, 3, 16, 16), **({"d_norm": "none"} if norm == "none" else {}))


@pytest.mark.parametrize(("overlapping", "window"), [(True, 4), (True, 2), (False, 16)])
def test_three_scales_without_tables_have_grid_then_standard_attention(overlapping, window):
    grid = {"attention": "grid", "window": window}
    stages = [
        {"share": 0.25, "blocks": [{"depth": 1, **grid}]},
        {"share": 0.25, "blocks": [{"depth": 2, **grid}, {"depth": 1}]},
        {"share": 0.5, "blocks": [{"depth": 2}]},
    ]
    config = discriminator(stages=stages, overlapping=overlapping, relative_position=False, noise=False)
    module = randomized(build_discriminator(config, 64))
    known = {} if window == (4 if overlapping else 16) else {"d_window_size": window}
    assert_same_output(module, released_keys(module, second_group={1: 2}), (2, 3, 64, 64), **known)


def test_the_output_has_the_shape_of_the_authors_modules():
    module = build_discriminator(discriminator(), 16)
    assert from_state_dict(released_keys(module))(torch.zeros(3, 3, 16, 16)).shape == (3, 1)
    assert module(torch.zeros(3, 3, 16, 16)).shape == (3,)


def test_values_may_be_numpy_halves():
    state = {key: value.half().numpy() for key, value in released_keys(build_generator(generator())).items()}
    assert from_state_dict(state).to_rgb.weight.dtype == torch.float32


def drop_half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(list(state.items())[::2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_half, "missing"),
        (lambda state: dict(list(state.items())[: len(state) // 2]), "missing"),
        (lambda state: {**state, "conv9.weight": torch.zeros(1)}, r"unexpected conv9\.weight"),
        (lambda state: {**state, "l1.bias": torch.zeros(3)}, r"l1\.bias is \(3,\), expected"),
        (lambda state: {**state, "pos_embed_2": torch.zeros(1, 35, 48)}, r"pos_embed_2 has 35 tokens"),
        (lambda state: {**state, "pos_embed_3": torch.zeros(1, 90**2, 12)}, "missing|expected|does not divide"),
        (lambda state: {"features.0.weight": torch.zeros(3)}, "not a released network"),
        (lambda state: {}, "not a released network"),
    ],
)
def test_a_state_that_fits_no_family_is_refused_in_one_line_with_its_keys(damage, message):
    with pytest.raises(UserError, match=message) as caught:
        from_state_dict(damage(released_keys(build_generator(generator()))))
    assert "\n" not in str(caught.value)


def test_half_a_discriminator_is_refused():
    with pytest.raises(UserError, match="missing"):
        from_state_dict(drop_half(released_keys(build_discriminator(discriminator(), 16))))


def test_a_side_that_does_not_divide_into_windows_is_refused():
    state = released_keys(build_generator(generator()))
    state["blocks_3.block.0.attn.relative_position_bias_table"] = torch.zeros((2 * 5 - 1) ** 2, 4)
    with pytest.raises(UserError, match="a side of 12 tokens does not divide into tiles of 5"):
        from_state_dict(state)


@pytest.mark.parametrize(
    ("known", "message"),
    [({"nrom": "pixel"}, "no keyword 'nrom'"), ({"norm": "batch"}, "is none of"), ({"latent": 6}, "latent is 5")],
)
def test_unknown_or_contradicted_keywords_are_refused(known, message):
    with pytest.raises(UserError, match=message):
        from_state_dict(released_keys(build_generator(generator())), **known)


def checkpoint(tmp_path: Path, **more: Any) -> Path:
    state = {f"module.{key}": value for key, value in released_keys(randomized(build_generator(generator()))).items()}
    content = {
        "epoch": 3,
        "gen_model": "a_model",
        "best_fid": np.float64(9.26),
        "fixed_z": torch.zeros(2, 5),
        "path_helper": {"tf": "x"},
        "gen_optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "gen_state_dict": {key: torch.zeros_like(value) for key, value in state.items()},
        "avg_gen_state_dict": state,
        "dis_state_dict": released_keys(build_discriminator(discriminator(), 12)),
        **more,
    }
    torch.save(content, tmp_path / "released.pth")
    return tmp_path / "released.pth"


def test_a_checkpoint_is_imported_with_the_averaged_weights(tmp_path):
    out = import_official(checkpoint(tmp_path), tmp_path / "generator.safetensors")
    saved = load_generator(out)
    expected = from_state_dict(torch.load(tmp_path / "released.pth", weights_only=False)["avg_gen_state_dict"])
    z = torch.randn(2, 5)
    assert torch.equal(saved.module(z), expected(z))
    assert saved.config.latent == 5
    assert saved.metadata["imported"]["entry"] == "avg_gen_state_dict"
    first = out.read_bytes()
    import_official(tmp_path / "released.pth", out)
    assert out.read_bytes() == first


def test_a_bare_state_dict_is_imported_too(tmp_path):
    torch.save(released_keys(build_generator(generator())), tmp_path / "bare.pth")
    assert load_generator(import_official(tmp_path / "bare.pth", tmp_path / "g.safetensors")).config.latent == 5


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code in the pickle was run')",))


def test_damaged_and_hostile_files_are_refused_in_one_line(tmp_path):
    whole = checkpoint(tmp_path).read_bytes()
    files = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"<html>quota exceeded</html>",
        "code": pickle.dumps({"gen_state_dict": Evil()}),
        "list": None,
        "other": None,
        "discriminator": None,
    }
    torch.save([1, 2], tmp_path / "list")
    torch.save({"model": {"weight": torch.zeros(2)}}, tmp_path / "other")
    torch.save(released_keys(build_discriminator(discriminator(), 16)), tmp_path / "discriminator")
    for name, content in files.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as caught:
            import_official(tmp_path / name, tmp_path / "out.safetensors")
        assert name in str(caught.value)
        assert str(caught.value).isprintable()
        assert "()" not in str(caught.value)
    torch.save({"gen_state_dict": Evil()}, tmp_path / "zipped-code")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module")
    for name, message in (
        ("zipped-code", "is code"),
        ("module", "torch.nn.modules.linear.Linear, which is code"),
        ("missing.pth", "not there"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            import_official(tmp_path / name, tmp_path / "out.safetensors")
        assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()
