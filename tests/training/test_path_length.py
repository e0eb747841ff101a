"""Path-length regularization, style mixing, R1, and steps of a regularizer's own: against closed forms, and through whole runs."""

import copy
import functools
import json

import pytest
import torch
import yaml

from tests.training.conftest import RUN, digests
from tests.training.styled import MODEL, REGULARIZERS, Linear, Training, recipe
from tests.training.test_loop import stopped_at
from transgan.config import plan as plans
from transgan.cost.estimate import estimate
from transgan.errors import UserError
from transgan.models import DiscriminatorNetwork, build_generator
from transgan.schema.model import generator_config
from transgan.schema.recipe import Regularizer
from transgan.training.augmentation import Augmentation
from transgan.training.random_inputs import DiscriminatorInputs, GeneratorInputs, RandomInputs, StyleMixing
from transgan.training.regularizers import REGULARIZERS as TERMS
from transgan.training.regularizers import Context
from transgan.training.regularizers.path_length import path_lengths
from transgan.training.style_mixing import generate, styles_of
from transgan.training.train import train
from transgan.utils.random import RandomStreams


def context(generator, inputs, state: float = 0.0, **changes) -> Context:
    return Context(
        generator=generator,
        discriminator=torch.nn.Identity(),
        augmentation=Augmentation([], 4, 0.3),
        inputs=inputs,
        batch=len(inputs.z),
        group=len(inputs.z),
        state={"mean": torch.tensor(state)},
        **changes,
    )


def term(**changes) -> Regularizer:
    return Regularizer.model_validate({"kind": "path_length", "net": "generator", "weight": 1.0, **changes})


@pytest.mark.parametrize("compiled", [False, True])
def test_path_lengths_of_a_linear_generator_are_known(compiled):
    generator = Linear()
    inputs = GeneratorInputs(torch.randn(4, 6), directions=torch.randn(4, 3, 4, 4))
    lengths = (
        torch.einsum("lpw,bp->blw", generator.matrices, inputs.directions.flatten(1) / 4).square().sum(2).mean(1).sqrt()
    )
    part = context(generator, inputs, 1.5, compiled=compiled)
    torch.testing.assert_close(path_lengths(part, inputs), lengths)
    value = TERMS["path_length"](term(), part)
    expected = (lengths - 1.5).square().mean()
    torch.testing.assert_close(value, expected)
    assert part.statistics["mean"].item() == pytest.approx(lengths.mean().item())
    for made, known in zip(*(torch.autograd.grad(one, generator.matrices) for one in (value, expected)), strict=True):
        torch.testing.assert_close(made, known)
    every_other = TERMS["path_length"](term(one_in=2), context(generator, inputs, 1.5))
    torch.testing.assert_close(every_other, (lengths[::2] - 1.5).square().mean())
    with pytest.raises(UserError, match="one in 3 images, but 4 pass"):
        TERMS["path_length"](term(one_in=3), context(generator, inputs))


def test_path_length_and_its_gradient_are_those_of_finite_differences():
    torch.manual_seed(
        0
    )  # path lengths jump at the leaky ReLU's kinks: one draw in sixty has one within a finite difference
    generator = build_generator(generator_config.validate_python(MODEL["generator"])).double()
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.3)
    double = functools.partial(torch.randn, dtype=torch.float64)
    inputs = GeneratorInputs(
        double(2, 8), generator_noise=double(2, generator.noise_width), directions=double(2, 3, 8, 8)
    )
    part = context(generator, inputs, 0.4)
    styles, h = generator.map(inputs.z).detach(), 1e-5
    squares = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        for layer in range(generator.styles):
            for component in range(8):
                step = torch.zeros_like(styles)
                step[:, layer, component] = h
                moved = generator.synthesize(styles + step, inputs.generator_noise) - generator.synthesize(
                    styles - step, inputs.generator_noise
                )
                squares += ((moved / (2 * h) * inputs.directions).sum((1, 2, 3)) / 8).square() / generator.styles
    torch.testing.assert_close(path_lengths(part, inputs).detach(), squares.sqrt(), atol=0, rtol=1e-6)
    value = TERMS["path_length"](term(), part)
    names = [
        "mapping.0.weight",
        "constant",
        "blocks.0.conv.conv.weight",
        "blocks.1.up.conv.affine.weight",
        "blocks.1.to_rgb.conv.weight",
    ]
    for name, slope in zip(
        names, torch.autograd.grad(value, [generator.get_parameter(name) for name in names]), strict=True
    ):
        parameter, along, values = generator.get_parameter(name), torch.randn_like(slope), []
        for sign in (h, -h):
            with torch.no_grad():
                parameter.add_(sign * along)
            values.append(TERMS["path_length"](term(), context(generator, inputs, 0.4)).item())
            with torch.no_grad():
                parameter.sub_(sign * along)
        assert (slope * along).sum().item() == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-4), name


def test_the_average_length_follows_every_measurement_and_the_penalty_sees_the_one_before():
    training = Training()
    average, penalties = 0.0, []
    for step in range(5):
        measured = training.advance()
        assert ("path" in measured) == (step % 2 == 0)
        if step % 2 == 0:
            penalties.append((measured["path"], measured["path_mean"], average))
            average = 0.9 * average + 0.1 * measured["path_mean"]
        assert training.trainer.regularizer_state["path"]["mean"].item() == pytest.approx(average, rel=1e-5)
    value, mean, before = penalties[0]
    assert value >= (mean - before) ** 2  # of lengths whose mean is `mean`
    assert training.trainer.regularizer_state["r1"] == {}


def test_styles_cross_at_the_layer_drawn():
    generator = build_generator(generator_config.validate_python({**MODEL["generator"], "channel_base": 16}))
    z, other, noise = torch.randn(3, 8), torch.randn(3, 8), torch.randn(3, generator.noise_width)
    inputs = GeneratorInputs(z, generator_noise=noise, mixing=StyleMixing(other, torch.tensor([1, 3, 4])))
    first, second = generator.map(z), generator.map(other)
    mixed = styles_of(generator, inputs)
    for image, crossing in enumerate((1, 3, 4)):
        assert torch.equal(mixed[image, :crossing], first[image, :crossing])
        assert torch.equal(mixed[image, crossing:], second[image, crossing:])
    images = generate(generator, inputs)
    torch.testing.assert_close(images[2], generator(z, noise)[2])  # beyond the last layer: no mixing
    assert not torch.allclose(images[1], generator(z, noise)[1])
    # The crossing is at the third layer: what the 4 x 4 block makes of the first latent is still there.
    changed = generate(
        generator, GeneratorInputs(z, generator_noise=noise, mixing=StyleMixing(other + 1, torch.tensor([1, 3, 4])))
    )
    with torch.no_grad():
        for block in generator.blocks[1:]:
            block.to_rgb.conv.weight.zero_()
    coarse = [
        generate(
            generator, GeneratorInputs(z, generator_noise=noise, mixing=StyleMixing(second, torch.tensor([1, 3, 4])))
        )
        for second in (other, z)
    ]
    assert not torch.allclose(images[1], changed[1])
    torch.testing.assert_close(coarse[0][1:], coarse[1][1:])
    assert not torch.allclose(coarse[0][0], coarse[1][0])


def test_nine_in_ten_pictures_are_mixed_at_layers_that_are_all_as_likely():
    training = Training(batch=4096, generator_batch=4096, regularizers={})
    crossings = torch.cat([training.random_inputs.discriminator(step).mixing.crossing for step in range(5)])
    counts = torch.bincount(crossings, minlength=5) / len(crossings)
    torch.testing.assert_close(
        counts, torch.tensor([0, 0.3, 0.3, 0.3, 0.1]), atol=0.015, rtol=0
    )  # 4 styles: crossings 1, 2, 3, or none (4)
    part = training.random_inputs.generator(3).rows(slice(10, 20))
    assert torch.equal(part.mixing.crossing, training.random_inputs.generator(3).mixing.crossing[10:20])
    assert torch.equal(part.mixing.z, training.random_inputs.generator(3).mixing.z[10:20])


def test_directions_are_drawn_for_the_steps_that_measure_paths():
    random_inputs = Training(n_critic=3).random_inputs
    assert [random_inputs.generator(step).directions is not None for step in (0, 3, 6, 9)] == [True, False, True, False]


def test_a_generator_without_styles_cannot_mix_them():
    transformer = generator_config.validate_python(
        {"latent": 8, "width": 16, "bottom_width": 8, "stages": [{"blocks": [{"depth": 1}]}]}
    )
    for changes in ({"style_mixing": 0.0}, {"regularizers": {}}):
        with pytest.raises(UserError, match="generator with styles"):
            RandomInputs(
                RandomStreams(0),
                recipe(**changes),
                Augmentation([], 8, 0.3),
                build_generator(transformer),
                DiscriminatorNetwork(),
            )


def test_steps_of_their_own_correct_adam():
    config = recipe(
        regularizers={"r1": {**REGULARIZERS["r1"], "interval": 16}, "path": {**REGULARIZERS["path"], "interval": 4}}
    )
    critic, generator = config.optimizer("discriminator"), config.optimizer("generator")
    assert (critic.lr, critic.betas) == (pytest.approx(0.002 * 16 / 17), (0, pytest.approx(0.99 ** (16 / 17))))
    assert (generator.lr, generator.betas) == (pytest.approx(0.0016), (0, pytest.approx(0.99**0.8)))
    joined = recipe(regularizers={"r1": {**REGULARIZERS["r1"], "own_step": False}})
    assert joined.optimizer("discriminator") == joined.discriminator
    training = Training()
    assert training.trainer.g_optimizer.param_groups[0]["lr"] == pytest.approx(0.002 * 2 / 3)
    training.advance(4)  # 2 regularizers due at steps 0 and 2
    weight = training.trainer.generator.blocks[0].conv.conv.weight
    assert training.trainer.g_optimizer.state[weight]["step"].item() == 6


@pytest.mark.parametrize("own_step", [False, True])
def test_lazy_regularization_is_the_eager_one_in_expectation(own_step):
    def summed(interval: int, own_step: bool) -> torch.Tensor:
        """Gradient of all losses of 4 steps by one weight, the net, pictures and inputs staying the same."""
        training = Training(
            regularizers={"r1": {"kind": "r1", "weight": 0.5, "interval": interval, "own_step": own_step}}
        )
        trainer, weight = training.trainer, training.trainer.discriminator.conv.weight
        inputs, real = training.random_inputs.discriminator(0), training.streams.normal("real", 0, 8, 3, 8, 8)
        total = torch.zeros_like(weight)
        for step in range(4):
            for adversarial, terms in trainer._updates("discriminator", step):
                loss, _ = trainer._d_loss(real, inputs, adversarial, terms, None)
                total += torch.autograd.grad(loss, weight)[0]
        return total

    eager = summed(1, False)
    torch.testing.assert_close(summed(4, own_step), eager, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(
        summed(3, own_step), eager, atol=1e-5, rtol=1e-4
    )  # due at 0 and 3: six steps' worth in four


def test_r1_of_a_quadratic_discriminator_before_and_after_augmentation():
    class Quadratic(torch.nn.Module):
        def forward(self, images, noise=None):
            return images.square().flatten(1).sum(1) / 2

    augmentation = Augmentation(["diffaug_color"], 4, 0.3)
    real, numbers = torch.randn(3, 3, 4, 4), torch.rand(3, 3, 3)
    inputs = DiscriminatorInputs(torch.zeros(3, 1), torch.zeros(3, 1, 1, 1), augment=numbers)
    part = context(torch.nn.Identity(), inputs, real=real)
    part.discriminator, part.augmentation = Quadratic(), augmentation
    augmented = augmentation(real, numbers[0])
    value = TERMS["r1"](Regularizer(kind="r1", weight=1.0, augmented=True), part)
    torch.testing.assert_close(value, augmented.square().sum() / 3)  # the gradient of |x|^2 / 2 is x
    inputs = real.clone().requires_grad_(True)
    gradient = torch.autograd.grad(augmentation(inputs, numbers[0]).square().sum() / 2, inputs)[0]
    torch.testing.assert_close(TERMS["r1"](Regularizer(kind="r1", weight=1.0), part), gradient.square().sum() / 3)


def test_terms_are_of_their_net():
    for mistake in (
        {"net": "discriminator"},
        {"kind": "r1"},
        {"kind": "drift", "net": "discriminator", "own_step": True},
    ):
        with pytest.raises(ValueError, match=r"is a term of the|cannot have an `own_step`"):
            term(**mistake)
    with pytest.raises(ValueError, match="must divide a device's share of generator_batch"):
        recipe(generator_batch=7)


def test_micro_batches_follow_the_same_trajectory_and_whole_groups_are_asked_for():
    whole, parts = Training(), Training(micro_batch=4)
    for _ in range(3):
        one, other = whole.advance(), parts.advance()
        assert other == pytest.approx(one, rel=1e-3, abs=1e-4)
    torch.testing.assert_close(
        parts.trainer.regularizer_state["path"]["mean"], whole.trainer.regularizer_state["path"]["mean"]
    )
    with pytest.raises(UserError, match="in groups of 2"):
        Training(micro_batch=3, regularizers={}).advance()


def test_bfloat16_measures_path_lengths_in_float32():
    full, half = Training(), Training(precision="bfloat16")
    one, other = full.advance(), half.advance()
    for name in ("path", "path_mean", "r1"):  # of weights that one step in another precision hardly moved
        assert other[name] == pytest.approx(one[name], rel=0.05), name
    assert other["d_loss"] == pytest.approx(one["d_loss"], rel=0.02)
    assert half.trainer.regularizer_state["path"]["mean"].dtype == torch.float32
    parameters = [*half.trainer.generator.parameters(), *half.trainer.discriminator.parameters()]
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in parameters)


def test_recomputed_activations_give_the_same_trajectory():
    plain, recomputed = Training(), Training(checkpoint_activations=True)
    for _ in range(2):
        assert recomputed.advance() == pytest.approx(plain.advance(), rel=1e-4, abs=1e-5)


def test_a_checkpoint_goes_on_bit_by_bit(tmp_path):
    undisturbed, stopped = Training(), Training()
    undisturbed.advance(5)
    stopped.advance(3)
    torch.save(stopped.trainer.state(), tmp_path / "state.pt")
    gone_on = Training()
    with torch.no_grad():  # nothing of the new one may count
        for parameter in [*gone_on.trainer.generator.parameters(), *gone_on.trainer.discriminator.parameters()]:
            parameter.zero_()
    gone_on.trainer.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert gone_on.trainer.regularizer_state["path"]["mean"] > 0
    gone_on.advance(2)
    for name in ("generator", "discriminator", "average", "regularizers"):
        expected, made = undisturbed.trainer.state()[name], gone_on.trainer.state()[name]
        assert expected.keys() == made.keys()
        for key, value in expected.items():
            assert value == made[key] if isinstance(value, dict) else torch.equal(value, made[key]), (name, key)


def styled_project(project) -> None:
    """Have the project's run train a StyleGAN2."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["models"]["small"] = MODEL
    kept = {
        key: params["recipes"]["short"][key]
        for key in ("images", "batch", "generator_batch", "log_images", "dynamics", "threads", "flip")
    }
    params["recipes"]["short"] = {**recipe().plain(), **kept}
    (project / "params.yaml").write_text(yaml.safe_dump(params))


def test_a_run_that_died_goes_on_to_the_same_bytes(project, monkeypatch):
    styled_project(project)
    train(plans.load(), RUN)
    expected = digests(project)
    run = json.loads((project / "results/tiny/runs" / RUN / "run.json").read_text())
    assert run["last"]["path_mean"] > 0
    header = (project / "results/tiny/runs" / RUN / "history.csv").read_text().splitlines()[0].split(",")
    assert {"r1", "path", "path_mean"} <= set(header)
    other = project / "again"
    other.mkdir()
    for name in ("data", "params.yaml"):
        (other / name).symlink_to(project / name)
    monkeypatch.chdir(other)
    stopped_at(monkeypatch, 4)
    train(plans.load(), RUN)
    assert digests(other) == expected


def test_an_estimate_counts_such_a_run(project):
    styled_project(project)
    run = plans.load().run(RUN)
    whole = estimate(run)

    def without(*names: str) -> float:
        terms = {name: value for name, value in run.recipe.regularizers.items() if name not in names}
        return estimate(
            run.model_copy(update={"recipe": run.recipe.model_copy(update={"regularizers": terms})})
        ).gflop_per_image

    assert whole.generator_parameters == sum(p.numel() for p in Training().trainer.generator.parameters())
    extra = [whole.gflop_per_image - without(name) for name in ("r1", "path")]
    assert min(extra) > 0
    assert sum(extra) == pytest.approx(whole.gflop_per_image - without("r1", "path"))
    assert whole.memory_gib > 0


def replay(rank: int, count: int, port: int, expected: dict) -> None:
    import os

    from transgan.training.distributed.process_group import init_process_group

    torch.set_num_threads(1)
    os.environ.update(WORLD_SIZE=str(count), RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    process_group = init_process_group("cpu")
    training = Training(process_group)
    training.advance(3)
    torch.testing.assert_close(
        training.trainer.regularizer_state["path"]["mean"], expected["regularizers"]["path"]["mean"], atol=0, rtol=1e-5
    )
    means = process_group.all_gather_rows(training.trainer.regularizer_state["path"]["mean"].view(1))
    assert means.unique().numel() == 1  # the same bits in every process
    for name, value in expected["average"].items():
        torch.testing.assert_close(training.trainer.generator_ema.state_dict()[name], value, atol=1e-3, rtol=0)
    process_group.close()


@pytest.mark.slow
def test_two_processes_keep_the_same_average_length_as_one():
    from tests.training.distributed.test_launch import free_port

    alone = Training()
    alone.advance(3)
    torch.multiprocessing.spawn(replay, (2, free_port(), copy.deepcopy(alone.trainer.state())), nprocs=2)


@pytest.mark.slow
def test_every_update_is_one_graph_with_the_same_trajectory(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, compiled = Training(), Training(compile=True)
    for _ in range(3):
        one, other = plain.advance(), compiled.advance()
        assert other == pytest.approx(one, rel=1e-3, abs=1e-4)
