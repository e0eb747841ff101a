"""`--set KEY=VALUE`: a run with changed values gets a name of its own, and wrong keys and values are refused."""

from pathlib import Path

import pytest

from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.config.run_changes import check_free, with_changed_run
from transgan.errors import UserError

RUN = "one-cifar10"


@pytest.fixture
def plan(project: Path) -> Plan:
    return plans.load()


def test_values_change_in_a_run_of_its_own(plan: Plan) -> None:
    changed, name = with_changed_run(plan, RUN, ["recipe.n_critic=3", "model.generator.latent=32", "seed=7"], None)
    assert name == "one-cifar10+model.generator.latent=32+n_critic=3+seed=7"
    run = changed.run(name)
    assert (run.recipe.n_critic, run.model.generator.latent, run.seed) == (3, 32, 7)
    assert changed.run(RUN) == plan.run(RUN)
    assert changed.fingerprint("train", name) != plan.fingerprint("train", RUN)
    assert changed.fingerprint("train", RUN) == plan.fingerprint("train", RUN)
    assert changed.paths.run(name) != plan.paths.run(RUN)
    assert all(name not in changed.table_runs(table) for table in changed.params.tables)
    assert list(plan.runs) == ["one-cifar10", "two-cifar10", "three-cifar10"]


def test_the_order_of_settings_makes_no_other_run(plan: Plan) -> None:
    settings = ["recipe.batch=8", "recipe.generator.lr=1.0e-3"]
    assert with_changed_run(plan, RUN, settings, None)[1] == with_changed_run(plan, RUN, settings[::-1], None)[1]


def test_keys_with_the_same_ending_have_different_names(plan: Plan) -> None:
    names = {with_changed_run(plan, RUN, [f"recipe.{net}.lr=0.5"], None)[1] for net in ("generator", "discriminator")}
    assert len(names) == 2


def test_messages_name_the_command_that_makes_the_run(plan: Plan) -> None:
    changed, name = with_changed_run(plan, RUN, ["recipe.n_critic=3"], "mine")
    assert name == "mine"
    assert changed.command("score", name) == "transgan score one-cifar10 --set recipe.n_critic=3 --as mine"
    assert changed.command("score", RUN) == "transgan score one-cifar10"


@pytest.mark.parametrize(
    ("settings", "name", "message"),
    [
        (["recipe.n_crtic=2"], None, "--set: recipe: n_crtic: unknown key; did you mean 'n_critic'?"),
        (["recip.n_critic=2"], None, "no key 'recip'; did you mean 'recipe'?"),
        (["recipe.generator.lrr=2"], None, "did you mean 'lr'?"),
        (["recipe.n_critic=two"], None, "n_critic: Input should be a valid integer"),
        (["recipe.n_critic='2'"], None, "is text; write 2"),
        (["recipe.n_critic"], None, "write KEY=VALUE"),
        (["recipe.n_critic="], None, "write KEY=VALUE"),
        (["recipe=2"], None, "name a key below recipe"),
        (["seed.x=2"], None, "a seed has no keys"),
        (["seed=-1"], None, "a seed is an integer from 0"),
        (["recipe.augment=["], None, "the value is no YAML"),
        (["model.generator.bottom_width=4"], None, "the generator makes 16 pixels"),
        (["recipe.n_critic=2"], "two-cifar10", "has a run of that name"),
        (["recipe.n_critic=2"], "../x", "use small letters, digits and hyphens"),
        ([], "mine", "--as names a run that --set changes"),
    ],
)
def test_mistakes_are_one_line(plan: Plan, settings: list[str], name: str | None, message: str) -> None:
    with pytest.raises(UserError) as caught:
        with_changed_run(plan, RUN, settings, name)
    assert message in str(caught.value)


def test_a_name_is_not_taken_from_other_settings(plan: Plan) -> None:
    changed, name = with_changed_run(plan, RUN, ["recipe.n_critic=3"], "mine")
    check_free(changed, name, {})
    check_free(changed, name, {"fingerprint": changed.fingerprint("train", name)})
    with pytest.raises(UserError, match="choose another with --as"):
        check_free(changed, name, {"fingerprint": plan.fingerprint("train", RUN)})
