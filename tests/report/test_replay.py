"""`transgan replay`: the chain of commands behind a cell, and that it catches a number that was edited."""

import csv
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import call
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.stages import Stage, stage
from transgan.pipeline.workspace import mark_finished
from transgan.report import replay, tables
from transgan.utils import files

RUN, OTHER = "transgan-cifar10", "transgan-cifar10-s1"
CELL = ("unconditional", "TransGAN", "CIFAR-10")


@pytest.fixture
def printed(project: Any, scored: Any) -> Plan:
    """Both training seeds of a cell have scores, and the table is printed."""
    Path("params.yaml").write_text(project().file.read_text())
    of: Plan = project(params=None)
    for run, shift in ((RUN, 0.0), (OTHER, 2.0)):
        inception = {"values": [5.0, 5.5], "split_std": [0.1, 0.1]}
        scored(of, run, fid={"values": [20.0 + shift, 21.0 + shift]}, **{"is": inception})
        files.write_json(of.paths.metrics(run), {})
    tables.make(of, "unconditional")
    return of


def make_outputs(of: Stage, fingerprint: str) -> None:
    for path in of.outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {"fingerprint": fingerprint, "started": "a", "finished": "b"})


def verbs(of: Plan, again: Any, folder: str = "fresh") -> list[str]:
    """The stages that the chain of the cell computes."""
    chain = replay.chain(of, replay.find_cell(of, *CELL, None), Path(folder), again)
    words = [shlex.split(line) for line in chain.script() if line.startswith("env ")]
    return [" ".join(line[line.index("transgan") + 1 : line.index("--scale")]) for line in words]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (("unconditional", "TransGANs", "CIFAR-10"), "no row 'TransGANs'; the rows are: WGAN-GP"),
        (("unconditional", "TransGAN", "CIFAR-100"), "no column 'CIFAR-100' in row 'TransGAN'; there are: CIFAR-10"),
        (("unconditional", "SN-GAN", "CIFAR-10"), "only quoted from the paper; nothing to replay"),
        (("unconditional", "AutoGAN", "STL-10"), "is skipped at scale demo; nothing to replay"),
    ],
)
def test_a_cell_that_cannot_be_replayed_is_one_line(printed: Plan, cell: tuple[str, str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replay.find_cell(printed, *cell, None)


def test_a_column_is_named_by_title_or_dataset_and_a_metric_by_name(printed: Plan) -> None:
    assert replay.find_cell(printed, "unconditional", "TransGAN", "cifar10", None).metric == "fid"
    assert replay.find_cell(printed, *CELL, "is").metric == "is"
    with pytest.raises(UserError, match="has no metric 'kid'; there are: is, fid"):
        replay.find_cell(printed, *CELL, "kid")


def test_what_is_not_kept_is_computed_with_all_that_it_needs(printed: Plan) -> None:
    everything = verbs(printed, "score")
    assert everything[0] == "fetch digits"
    needed = [line for line in everything if RUN in line.split()]
    assert needed == [f"train {RUN}", f"score {RUN}"]
    assert "prepare cifar10" in everything
    assert everything.index("reference cifar10 fid50k-train") < everything.index(f"train {RUN}")
    assert everything[-1] == "table unconditional"
    assert not any("stl10" in line for line in everything)


def test_what_is_kept_is_copied_and_only_the_rest_is_computed(printed: Plan) -> None:
    for run in (RUN, OTHER):
        make_outputs(stage(printed, "train", run), printed.fingerprint("train", run))
    trained = verbs(printed, "score")
    assert not any(line.startswith("train") for line in trained)
    assert f"score {RUN}" in trained
    assert verbs(printed, "table") == ["table unconditional"]
    assert f"train {RUN}" in verbs(printed, "train")


def test_a_result_that_only_the_state_folder_has_is_copied_from_there(printed: Plan) -> None:
    of = stage(printed, "train", RUN)
    folder = printed.paths.workspace("train", RUN, of.fingerprint)
    folder.mkdir(parents=True)
    for name in of.files:
        (folder / name).write_text("x")
    mark_finished(folder, of.files)
    computed = verbs(printed, "score")
    assert f"train {RUN}" not in computed
    assert f"train {OTHER}" in computed
    script = replay.chain(printed, replay.find_cell(printed, *CELL, None), Path("fresh"), "score").script()
    assert any(str(folder / "generator.safetensors") in line for line in script)


def test_a_changed_result_is_not_restored(printed: Plan) -> None:
    of = stage(printed, "train", RUN)
    make_outputs(of, "0" * 16)
    assert f"train {RUN}" in verbs(printed, "score")


def edit(column: str, change: float) -> None:
    """Change one column of the cell's first line, as an editor would."""
    path = Path("results/demo/tables/unconditional.csv")
    lines = list(csv.DictReader(path.read_text().splitlines()))
    line = next(line for line in lines if line["row"] == "TransGAN" and line["metric"] == "fid" and line["ours"])
    line[column] = str(float(line[column]) + change)
    files.write_csv(path, list(lines[0]), [list(each.values()) for each in lines])


def test_a_chain_that_was_run_gives_the_printed_number_and_catches_an_edited_one(
    printed: Plan, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The chain runs in processes of its own: the first time whole, then only the comparison is repeated."""
    arguments = ("replay", *CELL, "--again", "table", "--into", "fresh", "--run")
    code, out, _ = call(monkeypatch, capfd, *arguments)
    assert code == 0
    assert "unconditional: TransGAN, CIFAR-10, FID-digits: replayed 21.5, printed 21.5: the same" in out
    monkeypatch.setattr(replay, "execute", lambda _: None)
    for column, change in (("mean", 0.01), ("ours", 0.01), ("mean", -1e-6)):
        edit(column, change)
        code, out, _ = call(monkeypatch, capfd, *arguments)
        assert code == 1
        assert "not the same" in out
        assert "changed or damaged since written" not in out  # nothing recorded that this table was written
        code, out, _ = call(monkeypatch, capfd, *arguments, "--tolerance", "0.1")
        assert code == 0
        edit(column, -change)


def test_a_command_that_fails_ends_the_chain(
    printed: Plan, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cell = replay.find_cell(printed, *CELL, None)
    broken = replay.Chain(
        cell, Path("fresh"), (("mkdir", "-p", "fresh"), ("false",), ("touch", "after")), Path("t"), ()
    )
    with pytest.raises(UserError, match="`false` ended with exit code 1"):
        replay.execute(broken)
    assert not Path("after").exists()
    Path("fresh/file").touch()
    with pytest.raises(UserError, match="fresh: not empty; remove it, or name another folder with --into"):
        replay.execute(broken)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unconditional",), "name ROW and COLUMN of a cell, or --export DIR"),
        ((*CELL, "--again", "scoring"), "no stage for --again 'scoring'"),
        (("unconditonal", "a", "b"), "no table 'unconditonal'; did you mean 'unconditional'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    printed: Plan,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    code, out, err = call(monkeypatch, capsys, "replay", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_without_a_printed_number_nothing_runs(printed: Plan) -> None:
    cell = replay.find_cell(printed, "unconditional", "TransGAN", "STL-10", None)
    with pytest.raises(UserError, match="has no number; run `transgan table unconditional` first"):
        replay.printed_numbers(printed, cell)
    printed.paths.table("unconditional").with_suffix(".csv").unlink()
    with pytest.raises(UserError, match="not there; run `transgan table unconditional` first"):
        replay.printed_numbers(printed, cell)
