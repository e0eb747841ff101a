"""State folders: finished work is stored, found again, and never mistaken for work of another configuration."""

import fcntl
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.stages import Stage, stage
from transgan.pipeline.workspace import again_folder, differences, is_finished, run_stage
from transgan.utils import files, locks

RUN = "one-cifar10"


class Work:
    """Work that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        files.write_text(folder / "result.txt", f"result {self.calls}")


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def run(project: Path, work: Work) -> Callable[..., bool]:
    def run(inputs: dict[str, str] | None = None, again: bool = False) -> bool:
        plan = plans.load()
        return run_stage(plan, training(plan, "result.txt"), work, inputs, again)

    return run


def training(plan: Plan, *outputs: str) -> Stage:
    """The train stage, with other outputs: files of the folder out/."""
    return replace(stage(plan, "train", RUN), files={name: Path("out") / name for name in outputs})


def edit(lr: float) -> None:
    path = Path("params.yaml")
    content = yaml.safe_load(path.read_text())
    content["runs"][RUN]["changes"] = {"recipe": {"generator": {"lr": lr}}}
    path.write_text(yaml.safe_dump(content))


def folder(plan: Plan) -> Path:
    return plan.paths.workspace("train", RUN, plan.fingerprint("train", RUN))


def test_finished_work_is_published_again_without_computing_it(run: Callable[..., bool], work: Work) -> None:
    assert run()
    Path("out/result.txt").unlink()
    assert not run()
    assert Path("out/result.txt").read_text() == "result 1"
    assert work.calls == 1


def test_an_edit_starts_in_another_folder_and_logs_what_changed(
    run: Callable[..., bool], work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    edit(0.5)
    assert run()
    assert "recipe.generator.lr: 0.0001 -> 0.5" in capsys.readouterr().err
    assert work.calls == 2
    edit(0.0001)
    assert not run()
    assert Path("out/result.txt").read_text() == "result 1"


def test_damaged_finished_work_is_computed_again(run: Callable[..., bool], work: Work) -> None:
    run()
    result = folder(plans.load()) / "result.txt"
    result.write_text("resulr 1")
    assert run()
    assert work.calls == 2


def test_digests_that_the_work_returns_are_not_computed_again(project: Path) -> None:
    def work(folder: Path) -> dict[str, str]:
        files.write_text(folder / "a", "a")
        files.write_text(folder / "b", "b")
        return {"a": "known"}

    plan = plans.load()
    run_stage(plan, training(plan, "a", "b"), work)
    finished = files.read_json(folder(plan) / "finished.json")["outputs"]
    assert finished == {"a": "known", "b": files.sha256(Path("out/b"))}


def test_interrupted_work_is_not_finished(project: Path) -> None:
    plan = plans.load()

    def interrupted(folder: Path) -> None:
        files.write_text(folder / "checkpoint", "half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(plan, training(plan, "result.txt"), interrupted)
    assert not is_finished(folder(plan))
    assert (folder(plan) / "checkpoint").exists()
    assert not Path("out").exists()


def test_work_on_other_data_is_set_aside_and_found_again(run: Callable[..., bool], work: Work) -> None:
    assert run({"data": "a" * 64})
    assert run({"data": "b" * 64})
    assert work.calls == 2
    assert not run({"data": "a" * 64})
    assert Path("out/result.txt").read_text() == "result 1"
    assert not run({"data": "b" * 64})
    assert work.calls == 2


def test_a_folder_of_another_configuration_is_refused(run: Callable[..., bool]) -> None:
    run()
    first = folder(plans.load())
    edit(0.5)
    first.rename(folder(plans.load()))
    with pytest.raises(UserError, match=r"another configuration \(recipe\.generator\.lr: 0\.0001 -> 0\.5\)"):
        run()
    assert (folder(plans.load()) / "result.txt").read_text() == "result 1"


def test_a_second_process_is_refused(run: Callable[..., bool]) -> None:
    state = folder(plans.load())
    with (
        locks.lock(state.with_name(f".{state.name}.lock"), "x"),
        pytest.raises(UserError, match="train one-cifar10: another process"),
    ):
        run()


def test_a_second_process_waits_for_a_pack_of_the_same_images(
    project: Path, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plans.load()
    packing = replace(stage(plan, "prepare", "cifar10"), files={"result.txt": Path("out/result.txt")})
    state = plan.paths.workspace("prepare", packing.subject, packing.fingerprint)
    lock = state.with_name(f".{state.name}.lock")
    lock.parent.mkdir(parents=True)
    held = lock.open("w")  # as another process would hold it
    fcntl.flock(held, fcntl.LOCK_EX)
    threading.Timer(0.3, held.close).start()
    assert run_stage(plan, packing, work)
    said = capsys.readouterr().err.splitlines()
    assert "prepare cifar10: another process packs the same images; waiting for it" in said


def test_differences_name_the_keys() -> None:
    assert differences({"a": {"b": 1}, "c": [1]}, {"a": {"b": 2}, "c": [1]}) == ["a.b: 1 -> 2"]
    assert differences({"a": 1}, {"a": 1}) == []
    assert differences({"a": [{"b": 1}, 2]}, {"a": [{"b": 3}, 2]}) == ["a.0.b: 1 -> 3"]
    assert differences({"a": [1]}, {"a": [1, 2]}) == ["a: [1] -> [1, 2]"]


class TestAgain:
    """`--again`: finished work is computed again, and the finished result stays until the new one is complete."""

    def test_the_new_result_takes_the_place_of_the_other_which_is_kept(
        self, run: Callable[..., bool], work: Work, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run()
        assert run(again=True)
        assert Path("out/result.txt").read_text() == "result 2"
        own = folder(plans.load())
        assert (own.with_name(f"{own.name}.replaced-1") / "result.txt").read_text() == "result 1"
        assert "with other bytes in result.txt" in capsys.readouterr().err
        assert not run()
        assert run(again=True)
        assert (own.with_name(f"{own.name}.replaced-2") / "result.txt").read_text() == "result 2"

    def test_the_same_bytes_are_stored_once(self, run: Callable[..., bool], work: Work) -> None:
        run()
        work.calls = 0
        assert run(again=True)
        own = folder(plans.load())
        assert [path.name for path in own.parent.iterdir() if path.is_dir()] == [own.name]

    def test_an_interrupted_call_is_resumed_and_the_finished_result_stays(
        self, run: Callable[..., bool], work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run()

        def interrupted(self: Work, folder: Path) -> None:
            files.write_text(folder / "checkpoint", "half")
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(Work, "__call__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run(again=True)
        assert not run()
        assert Path("out/result.txt").read_text() == "result 1"
        found: list[str] = []

        def resumed(self: Work, folder: Path) -> None:
            found.append((folder / "checkpoint").read_text())
            files.write_text(folder / "result.txt", "result 2")

        monkeypatch.setattr(Work, "__call__", resumed)
        assert run(again=True)
        assert found == ["half"]
        assert Path("out/result.txt").read_text() == "result 2"

    def test_unfinished_work_is_resumed_where_it_is(self, run: Callable[..., bool], work: Work) -> None:
        files.write_text(folder(plans.load()) / "checkpoint", "half")
        assert run(again=True)
        assert (folder(plans.load()) / "checkpoint").exists()
        assert work.calls == 1

    def test_an_interruption_between_the_two_renames_loses_nothing(
        self, run: Callable[..., bool], work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run()
        real, renames = Path.rename, []

        def rename(self: Path, target: Path) -> Path:
            renames.append(target)
            if len(renames) == 2:
                raise KeyboardInterrupt
            return real(self, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", rename)
            with pytest.raises(KeyboardInterrupt):
                run(again=True)
        assert not folder(plans.load()).exists()
        assert not run()
        assert Path("out/result.txt").read_text() == "result 2"
        assert work.calls == 2

    def test_other_inputs_start_again(self, run: Callable[..., bool], work: Work) -> None:
        run({"data": "1" * 64})
        again = again_folder(folder(plans.load()))
        files.write_json(
            again / "ingredients.json",
            {"ingredients": plans.load().ingredients("train", RUN), "inputs": {"data": "2" * 64}},
        )
        files.write_text(again / "checkpoint", "of other data")
        run({"data": "1" * 64}, again=True)
        assert not (folder(plans.load()) / "checkpoint").exists()
