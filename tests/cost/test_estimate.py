"""FLOPs and memory of a training step, compared with a FLOP counter on real tensors and with counts by hand."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from transgan.config import plan
from transgan.config.plan import Run
from transgan.cost import counts
from transgan.cost.estimate import Counter, estimate
from transgan.models import build_discriminator, build_generator

PARAMS = Path(__file__).parents[2] / "params.yaml"


def changed(run: Run, **recipe: object) -> Run:
    return run.model_copy(update={"recipe": type(run.recipe).model_validate({**run.recipe.plain(), **recipe})})


@pytest.fixture(scope="module")
def demo() -> Run:
    """One block per network."""
    run = plan.load(PARAMS, "demo").run("transgan-stl10")
    stages = [{"blocks": [{"depth": 1}]}]
    generator = {**run.model.generator.plain(), "bottom_width": 8, "width": 16, "stages": stages}
    discriminator = {**run.model.discriminator.plain(), "stages": [{"share": 1.0, **stages[0]}]}
    model = type(run.model).model_validate({"generator": generator, "discriminator": discriminator})
    return run.model_copy(update={"model": model})


def test_flops_of_a_discriminator_step_agree_with_a_flop_counter_on_real_tensors(demo):
    run = changed(demo, regularizers={}, augment=[], n_critic=10**9)
    with torch.random.fork_rng():
        generator, discriminator = build_generator(run.model.generator), build_discriminator(run.model.discriminator, 8)
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            fake = generator(torch.randn(32, generator.latent))
        discriminator(torch.cat([fake, fake])).mean().backward()
    assert estimate(run).gflop_per_image == pytest.approx(counter.get_total_flops() / 32 / 1e9, rel=1e-6)


def test_the_cost_of_the_penalty_is_divided_by_its_interval(demo):
    whole = estimate(demo)
    assert estimate(changed(demo, images=2 * demo.recipe.images)).gflop_per_image == whole.gflop_per_image
    without = estimate(changed(demo, regularizers={}))
    assert without.gflop_per_image < whole.gflop_per_image
    rare = {**demo.recipe.plain()["regularizers"]}
    rare["gradient_penalty"] = {**rare["gradient_penalty"], "interval": 4}
    sometimes = estimate(changed(demo, regularizers=rare))
    penalty = whole.gflop_per_image - without.gflop_per_image
    assert sometimes.gflop_per_image == pytest.approx(without.gflop_per_image + penalty / 4)
    assert sometimes.memory_gib == whole.memory_gib  # the peak is that of the step with the penalty


def test_super_resolution_costs_its_generator_passes_and_only_until_it_ends(demo):
    """A forward and a backward pass of G, without the projection of z, per real image of every n_critic-th step."""
    generator = {**demo.model.generator.plain(), "norm": "layer", "noise": False, "image_input": True}
    discriminator = demo.model.discriminator.plain()
    model = type(demo.model).model_validate({"generator": generator, "discriminator": discriminator})
    run = changed(demo.model_copy(update={"model": model}), generator_batch=64, micro_batch=None)
    term = {"kind": "super_resolution", "net": "generator", "weight": 50.0}
    without = estimate(changed(run, regularizers={})).gflop_per_image
    always = estimate(changed(run, regularizers={"sr": term})).gflop_per_image
    module = build_generator(model.generator)
    with FlopCounterMode(display=False) as counter:
        module.super_resolve(torch.randn(32, 3, 8, 8)).sum().backward()
    passes = counter.get_total_flops() / 32 / 1e9
    assert always - without == pytest.approx(passes / run.recipe.n_critic, rel=1e-6)
    half = {"sr": {**term, "until": run.recipe.images // 2}}
    assert estimate(changed(run, regularizers=half)).gflop_per_image - without == pytest.approx((always - without) / 2)
    parts = estimate(changed(run, regularizers={"sr": term}, micro_batch=16)).gflop_per_image
    assert parts == pytest.approx(always)
    assert counts.key(changed(run, regularizers=half)) != counts.key(changed(run, regularizers=half, images=10**6))


def test_micro_batches_and_recomputation_reduce_memory(demo):
    whole, halves = estimate(demo), estimate(changed(demo, micro_batch=16))
    assert halves.gflop_per_image == pytest.approx(whole.gflop_per_image)
    assert halves.memory_gib < 0.7 * whole.memory_gib
    assert estimate(changed(demo, checkpoint_activations=True)).memory_gib < whole.memory_gib


def test_bytes_count_while_their_storage_is_referenced():
    with Counter() as counter:
        held = [torch.zeros(1000)]
        _, peak = counter.count(lambda: (held[0] + 1).sum())
        assert 4000 <= peak <= 4008
        assert counter.live == 4000
        view = held.pop()[:10]
        assert counter.live == 4000
        del view
        assert counter.live == 0


@pytest.mark.slow
def test_the_cifar10_run_agrees_with_a_count_by_hand():
    """Part by part: 62 GFLOP per image without augmentation and clipping, 8 EFLOP in full (docs/paper.md 3.5)."""
    cost = estimate(plan.load(PARAMS, "paper").run("transgan-cifar10"))
    assert (cost.generator_parameters, cost.discriminator_parameters) == (83_312_495, 10_210_400)
    assert cost.gflop_per_image == pytest.approx(62, rel=0.05)
    assert cost.gflop_per_image * 128e6 / 1e9 == pytest.approx(8, rel=0.05)
