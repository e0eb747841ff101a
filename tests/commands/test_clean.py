"""`transgan clean`: unused state folders are listed and removed, used ones and those of a running process stay."""

from pathlib import Path

import pytest
import yaml

from transgan.commands.clean import clean
from transgan.config import plan as plans
from transgan.config.paths import StageName
from transgan.errors import UserError
from transgan.pipeline.params_register import NAME, registered
from transgan.pipeline.stages import stage
from transgan.pipeline.workspace import locked, run_stage
from transgan.utils import files

RUN = "one-cifar10"


def test_only_folders_of_other_configurations_are_removed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.load()
    used = plan.paths.workspace("train", RUN, plan.fingerprint("train", RUN))
    unused, running = used.with_name("0" * 12), used.with_name("1" * 12)
    for folder in (used, unused, running):
        files.write_json(folder / "ingredients.json", {})
    clean(plan, delete=False)
    assert unused.exists()
    listed = capsys.readouterr().out
    assert str(unused) in listed
    assert str(used) not in listed
    with locked(running, f"train {RUN}"):
        clean(plan, delete=True)
    output = capsys.readouterr()
    assert "1 folders removed" in output.out
    assert f"warning: {running}: in use, not removed" in output.err
    assert used.exists()
    assert running.exists()
    assert not unused.exists()
    assert "1 kept" in output.out


def another_file(name: str = "other.yaml", seed: int = 11) -> plans.Plan:
    """A second params file in the project, with a scale of its own; its dataset and run differ from the first one's."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["datasets"]["cifar10"]["on_error"] = "skip"
    content["runs"][RUN]["seed"] = seed
    content["scale"], content["scales"] = "own", {"own": content["scales"]["tiny"]}
    Path(name).write_text(yaml.safe_dump(content))
    return plans.load(Path(name))


def work(plan: plans.Plan, verb: StageName, name: str) -> Path:
    """Do the work of a stage of the plan, as far as folders are concerned; returns its state folder."""
    made = stage(plan, verb, name)
    run_stage(plan, made, lambda folder: [files.write_text(folder / output, "") for output in made.files] and None)
    return plan.paths.workspace(verb, name, made.fingerprint)


@pytest.mark.faults
def test_what_another_params_file_uses_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = another_file()
    used = [work(other, "prepare", "cifar10"), work(other, "train", RUN)]
    unused = Path("data/store") / ("0" * 12)
    unused.mkdir()
    third = another_file("third.yaml", seed=12)  # its scale has the same name as the second's
    for plan in (plans.load(), third):
        clean(plan, delete=True)
    assert [folder.exists() for folder in used] == [True, True]
    assert not unused.exists()
    # Without its line in the registers, nothing is known of it.
    for store in ("data/store", "state"):
        assert registered(Path(store)) == [str(project / "other.yaml")]
        (Path(store) / NAME).unlink()
    Path("other.yaml").unlink()
    clean(plans.load(), delete=True)
    clean(third, delete=True)
    assert [folder.exists() for folder in used] == [False, False]


@pytest.mark.faults
@pytest.mark.parametrize("content", [None, "", "[]", "scale: [", "\0"])
def test_nothing_is_removed_if_what_a_params_file_uses_cannot_be_told(project: Path, content: str | None) -> None:
    used = work(another_file(), "prepare", "cifar10")
    Path("other.yaml").unlink()
    if content is not None:
        Path("other.yaml").write_text(content)
    for delete in (False, True):
        with pytest.raises(UserError, match=r"other\.yaml.*nothing is removed.*delete its line from data/store"):
            clean(plans.load(), delete)
    assert used.exists()


@pytest.mark.faults
def test_a_register_that_is_damaged_stops_no_work_and_no_folder_is_removed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path("data/store") / NAME).mkdir(parents=True)
    used = work(plans.load(), "prepare", "cifar10")
    assert NAME in capsys.readouterr().err
    with pytest.raises(UserError, match=NAME):
        clean(plans.load(), delete=True)
    assert used.exists()
