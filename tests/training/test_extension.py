"""`train --extend`: a finished run continues, and ends with the bytes of the longer run trained from the start."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.training.conftest import RUN, digests, make_project
from tests.training.test_loop import crash_at_step
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.schema import RecipeConfig
from transgan.training import extension
from transgan.training.train import train


def write_recipe(folder: Path, **changes: Any) -> None:
    """Change keys of the recipe; those of `dynamics`, `generator` and others are merged."""
    path = folder / "params.yaml"
    content = yaml.safe_load(path.read_text())
    recipe = content["recipes"]["short"]
    for key, value in changes.items():
        recipe[key] = {**recipe.get(key, {}), **value} if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def from_the_start(folder: Path, packed: Path, **recipe: Any) -> dict[str, str]:
    """Digests of a run that was trained at once, saving at its end only."""
    make_project(folder, packed, 1000)
    write_recipe(folder, **recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(plans.load(), RUN)
    return digests(folder)


BAND = [{"until": 128, "width": 1}, {"until": 10_000, "width": 2}]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"images": 128}, {"images": 192}),
        ({"images": 144}, {"images": 208}),  # its last row of history.csv is of half an interval
        ({"images": 120}, {"images": 128}),  # as many steps, as the last batch goes beyond the schedule
        ({"images": 8}, {"images": 64}),  # one step, before the first snapshot of the longer run
        # The shorter run's end is among the snapshots.
        ({"images": 128}, {"images": 192, "dynamics": {"at": [128, 160]}}),
        # Snapshots that depend on the length become those that exist.
        ({"images": 128, "dynamics": {"points": 5}}, {"images": 192, "dynamics": {"points": 3, "at": [64, 96, 128]}}),
    ],
)
def test_an_extended_run_has_the_bytes_of_the_longer_one(project, packed, tmp_path_factory, first, then) -> None:
    expected = from_the_start(tmp_path_factory.mktemp("whole") / "project", packed, **first | then)
    write_recipe(project, **first)
    train(plans.load(), RUN)
    before = digests(project)
    recipe = (project / "params.yaml").read_text()
    write_recipe(project, **then)
    train(plans.load(), RUN, extend=True)
    assert digests(project) == expected
    # The shorter run's work stays: undoing the edit brings its results back.
    (project / "params.yaml").write_text(recipe)
    train(plans.load(), RUN)
    assert digests(project) == before


def test_an_extension_that_is_interrupted_resumes_with_or_without_the_option(project, packed, tmp_path_factory, capsys):
    expected = from_the_start(tmp_path_factory.mktemp("whole") / "project", packed, images=208)
    write_recipe(project, images=144)
    train(plans.load(), RUN)
    write_recipe(project, images=208)
    with pytest.MonkeyPatch.context() as patch:  # 144 images are 9 steps
        patch.setattr("tests.training.test_loop.train", lambda plan, run: train(plan, run, extend=True))
        crash_at_step(patch, 11)
    with pytest.MonkeyPatch.context() as patch:
        crash_at_step(patch, 12)  # as Snakemake calls it
    assert "resumes from 160 of 208 images" in capsys.readouterr().err
    train(plans.load(), RUN, extend=True)
    assert digests(project) == expected


def test_an_interrupted_run_can_be_extended_too(project, packed, tmp_path_factory, monkeypatch, capsys):
    expected = from_the_start(tmp_path_factory.mktemp("whole") / "project", packed, images=192)
    with pytest.MonkeyPatch.context() as patch:
        crash_at_step(patch, 7)
    write_recipe(project, images=192)
    with pytest.MonkeyPatch.context() as patch:  # a longer run that was begun from the start is less far
        crash_at_step(patch, 3)
    messages = capsys.readouterr().err
    assert f"starts from the beginning; `transgan train {RUN} --extend` would continue the 96 images" in messages
    train(plans.load(), RUN, extend=True)
    assert "continues the run of 128 images" in capsys.readouterr().err
    assert digests(project) == expected


def test_a_schedule_of_locality_continues(project, packed, tmp_path_factory) -> None:
    """The band of the last step counts for a snapshot that is recorded when training continues."""

    def with_band(folder: Path) -> None:
        path = folder / "params.yaml"
        content = yaml.safe_load(path.read_text())
        content["models"]["small"]["generator"]["locality_band"] = BAND
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    whole = make_project(tmp_path_factory.mktemp("whole") / "project", packed, 1000)
    then = {"images": 192, "dynamics": {"at": [128]}}
    with_band(whole)
    write_recipe(whole, **then)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(whole)
        train(plans.load(), RUN)
    with_band(project)
    train(plans.load(), RUN)
    write_recipe(project, **then)
    train(plans.load(), RUN, extend=True)
    with np.load(project / f"results/tiny/runs/{RUN}/dynamics.npz") as dynamics:
        assert dynamics["images"].tolist() == [0, 32, 128, 192]
    assert digests(project) == digests(whole)


@pytest.mark.parametrize(
    ("first", "then", "reason"),
    [
        ({"images": 32, "generator": {"schedule": "linear"}}, {"images": 64}, "generator.schedule: linear"),
        ({"images": 32, "discriminator": {"schedule": "linear"}}, {"images": 64}, "discriminator.schedule: linear"),
        (
            {"dynamics": {"points": 5}},
            {"images": 192},
            r"a snapshot at 112 images, where the shorter one has none; "
            r"write `dynamics: \{points: 3, first: 32, at: \[32, 64, 96, 128\], ...\}`",
        ),
        ({"images": 32}, {"images": 64, "batch": 32}, r"another configuration \(recipe.batch: 16 -> 32\)"),
        ({"images": 32}, {"images": 64, "dynamics": {"latents": 8}}, r"recipe.dynamics.latents: 16 -> 8"),
        ({"images": 32}, {"images": 16}, r"recipe.images: 32 -> 16"),
    ],
)
def test_what_cannot_be_extended_is_refused_with_the_reason(project, first, then, reason) -> None:
    write_recipe(project, **first)
    train(plans.load(), RUN)
    write_recipe(project, **then)
    with pytest.raises(UserError, match=reason) as refused:
        train(plans.load(), RUN, extend=True)
    assert f"`transgan train {RUN}`" in str(refused.value)


def test_without_a_shorter_run_there_is_nothing_to_extend(project) -> None:
    with pytest.raises(UserError, match="no shorter run to extend in state/tiny/train"):
        train(plans.load(), RUN, extend=True)


def test_removed_or_damaged_checkpoints_are_named(project) -> None:
    train(plans.load(), RUN)
    folder = next(Path().glob(f"state/tiny/train/{RUN}/*/"))
    write_recipe(project, images=192)
    newest, earlier = sorted(folder.glob("checkpoint-*.pt"), reverse=True)
    whole = earlier.read_bytes()
    for path in (newest, earlier):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="all 2 checkpoints are damaged"):
        train(plans.load(), RUN, extend=True)
    for path in folder.glob("checkpoint-*.json"):
        path.rename(path.with_suffix(".kept"))
    with pytest.raises(UserError, match="no checkpoint is left"):
        train(plans.load(), RUN, extend=True)
    for path in folder.glob("checkpoint-*.kept"):
        path.rename(path.with_suffix(".json"))
    earlier.write_bytes(whole)
    train(plans.load(), RUN, extend=True)  # from the earlier one


def test_a_checkpoint_of_an_earlier_version_is_used_where_that_is_possible() -> None:
    """Without the means of an unfinished interval, a row at the end of training must be of a whole one."""
    recipe = RecipeConfig.model_validate({"images": 400, "log_images": 100, "ema": {"kimg": 1}})
    state: dict[str, Any] = {"history": [{"images": 100}, {"images": 200}], "trainer": {"meter": []}}
    extension._history(state, recipe, 200)
    assert len(state["history"]) == 2
    state = {"history": [{"images": 100}, {"images": 150}], "trainer": {"meter": []}}
    with pytest.raises(UserError, match="no multiple of `log_images: 100`"):
        extension._history(state, recipe, 150)


def test_fid_is_measured_where_the_longer_run_measures_it() -> None:
    """The shorter run measured FID at its end, where the longer one has a snapshot without FID or none at all."""
    shorter = RecipeConfig.model_validate(
        {"images": 1000, "batch": 10, "ema": {"kimg": 1}, "dynamics": {"points": 5, "first": 10, "fid_samples": 8}}
    )
    longer = shorter.model_copy(update={"images": 2000})
    reason = extension.obstacle(shorter, longer, 1000)
    assert reason is not None
    assert "at: [10, 50, 220, 1000]" in reason
    dynamics = longer.dynamics.model_copy(update={"points": 3, "at": (10, 50, 220, 1000)})
    longer = longer.model_copy(update={"dynamics": dynamics})
    assert extension.obstacle(shorter, longer, 1000) is None
    records = [{"images": count, "fid": 1.0} for count in shorter.snapshots]
    kept = extension._snapshots(records, longer, 1000)
    assert [record["images"] for record in kept] == [0, 10, 50, 220]
    assert np.isnan(kept[0]["fid"])
    assert [record["fid"] for record in kept[1:]] == [1.0, 1.0, 1.0]
