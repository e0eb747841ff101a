"""RO-Crates: what they hold, that damage is found, and that only equal experiments are pooled."""

import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from tests.test_cli import call
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.report import crate
from transgan.report.cells_frame import cells_frame, csv_text
from transgan.report.seed_statistics import POOLED
from transgan.report.trace import UNKNOWN, traced
from transgan.utils import files

RUN, OTHER = "transgan-cifar10", "transgan-cifar10-s1"
A100, H100 = "NVIDIA A100", "NVIDIA H100"


@pytest.fixture
def lab(project: Any, scored: Any) -> Any:
    """Write a crate by hand, as the library does, of one cell that was measured on a machine of its own."""
    Path("params.yaml").write_text(project().file.read_text())

    def write(folder: str, gpu: str, changed: tuple[str, str] | None = None, **fids: float) -> Path:
        of: Plan = plans.load(None, "demo")
        for run in (RUN, OTHER):
            of.paths.score(run).unlink(missing_ok=True)
        for run, fid in ((RUN, fids.get("first")), (OTHER, fids.get("second"))):
            if fid is not None:
                scored(of, run, fid={"values": [fid]})
                files.write_json(
                    of.paths.run(run) / "provenance.json",
                    {"started": "a", "finished": "b", "commit": "c" * 40, "dirty": False, "hardware": {"gpus": [gpu]}},
                )
        cells = [each.plain() for each in traced(of, "unconditional") if each.origins]
        texts = {
            crate.CELLS: csv_text(cells_frame(of, "unconditional")),
            crate.PROVENANCE: files.dumps({"scale": "demo", "cells": cells}),
            "params.yaml": Path("params.yaml").read_text(),
        }
        if changed:
            texts = {name: text.replace(*changed) for name, text in texts.items()}
        for name, text in texts.items():
            files.write_text(Path(folder) / name, text)
        graph = [{"@id": name, "sha256": crate._sha256(text)} for name, text in texts.items()]
        files.write_json(Path(folder) / crate.METADATA, {"@graph": graph})
        return Path(folder)

    return write


def _two_machines(lab: Any) -> pd.DataFrame:
    """The crates a and b: seeds with 10 and 12 on one machine, 11 and 15 on the other."""
    return crate.read_all([lab("a", A100, first=10.0, second=12.0), lab("b", H100, first=11.0, second=15.0)])


def test_a_line_per_machine_and_one_of_all(lab: Any) -> None:
    """Seeds 10 and 12 on one machine, 11 and 15 on the other: means of the seeds 10.5 and 13.5."""
    pooled = crate.pool(_two_machines(lab))
    fid = pooled[pooled["metric"] == "fid"]
    assert fid["machine"].tolist() == [A100, H100, crate.ALL]
    assert fid["n"].tolist() == [2, 2, 2]
    assert fid["mean"].tolist() == [11.0, 13.0, 12.0]
    assert fid["std"].tolist() == pytest.approx([2**0.5, 8**0.5, 4.5**0.5])


def test_the_spread_over_machines_of_a_known_design(lab: Any) -> None:
    """Seeds 10 and 12 on one machine, 11 and 15 on the other.

    By hand: the means of the seeds are 10.5 and 13.5, those of the machines 11 and 13, and 0.5 is left in each score.
    So the mean squares are 2 * 2 * 1.5**2 = 9 of seeds, 2 * 2 * 1**2 = 4 of machines, and 4 * 0.5**2 = 1 of the rest.
    """
    (line,) = crate.spread(_two_machines(lab)).to_dict("records")
    assert (line["row"], line["metric"], line["machines"], line["seeds"]) == ("TransGAN", "fid", (A100, H100), 2)
    assert [line[name] for name in crate.FREEDOM] == [1, 1, 1]
    assert line["rest"] == pytest.approx(1)
    assert line["training"] == pytest.approx(((9 - 1) / 2) ** 0.5)
    assert line["machine"] == pytest.approx(((4 - 1) / 2) ** 0.5)
    assert line["training_p"] == pytest.approx(stats.f.sf(9, 1, 1))
    assert line["machine_p"] == pytest.approx(stats.f.sf(4, 1, 1))


@pytest.mark.parametrize("other", [{"first": 11.0}, None], ids=["one seed on both machines", "one machine"])
def test_no_spread_without_two_machines_and_two_common_seeds(lab: Any, other: dict[str, float] | None) -> None:
    folders = [lab("a", A100, first=10.0, second=12.0)]
    if other:
        folders.append(lab("b", H100, **other))
    lines = crate.read_all(folders)
    assert crate.spread(lines).empty
    assert not crate.pool(lines).empty


@pytest.mark.parametrize("seeds", [["0"], ["7", "8", "9"]], ids=["too few seeds", "more seeds, of its own"])
def test_a_machine_without_common_seeds_does_not_hide_the_others(lab: Any, seeds: list[str]) -> None:
    lines = _two_machines(lab)
    first = lines.iloc[[0]]
    others = [first.assign(machine="NVIDIA B200", seed=type(first["seed"].iloc[0])(seed)) for seed in seeds]
    (line,) = crate.spread(pd.concat([lines, *others])).to_dict("records")
    assert line["machines"] == (A100, H100)
    assert line["training"] == pytest.approx(2)


def test_results_of_unknown_machines_do_not_count(lab: Any) -> None:
    hidden = ('"hardware"', '"nothing"')
    folders = [lab("a", A100, first=10.0, second=12.0), lab("b", H100, hidden, first=11.0, second=15.0)]
    lines = crate.read_all(folders)
    assert set(crate.pool(lines)["machine"]) == {A100, UNKNOWN, crate.ALL}
    assert crate.spread(lines).empty


def test_rows_of_the_same_machines_are_pooled(lab: Any) -> None:
    """Two rows with the same scores have the same components together, with twice the degrees of freedom."""
    lines = _two_machines(lab)
    lines = pd.concat([lines, lines.assign(row="Other")])
    one, _, pooled = crate.spread(lines).to_dict("records")
    assert (pooled["row"], pooled["seeds"]) == (POOLED, 4)
    assert [pooled[name] for name in crate.FREEDOM] == [2, 2, 2]
    for name in ("training", "machine", "rest"):
        assert pooled[name] == pytest.approx(one[name])
    assert pooled["training_p"] == pytest.approx(stats.f.sf(9, 2, 2))


def test_rows_of_other_machines_are_not_pooled(lab: Any) -> None:
    lines = _two_machines(lab)
    other = lines.assign(row="Other", machine=lines["machine"].replace(H100, "NVIDIA B200"))
    assert crate.spread(pd.concat([lines, other]))["row"].tolist() == ["TransGAN", "Other"]


def test_one_result_in_two_crates_is_counted_once(lab: Any) -> None:
    pooled = crate.pool(crate.read_all([lab("a", A100, first=10.0), lab("b", A100, first=10.0, second=12.0)]))
    assert pooled["n"].tolist() == [2]
    assert pooled["mean"].tolist() == [11.0]


def test_two_results_of_one_seed_on_machines_of_one_kind_are_one_seed(lab: Any) -> None:
    """10 and 14 for the first seed, 18 for the second: two seeds with the mean 15, not three."""
    pooled = crate.pool(crate.read_all([lab("a", A100, first=10.0, second=18.0), lab("b", A100, first=14.0)]))
    assert pooled["n"].tolist() == [2]
    assert pooled["mean"].tolist() == [15.0]


def test_other_fingerprints_are_refused_with_what_differs(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab("a", A100, first=10.0)
    content = Path("params.yaml").read_text()
    Path("params.yaml").write_text(content.replace("weight: 10.0, target: 1.0}", "weight: 9.0, target: 1.0}"))
    lab("b", H100, first=11.0)
    code, out, err = call(monkeypatch, capsys, "pool", "a", "b")
    assert (code, out) == (2, "")
    assert "a and b: unconditional, TransGAN, CIFAR-10, fid, seed 0 has the fingerprints" in err
    assert "so these are different experiments and are not pooled" in err
    assert "weight: 10.0 -> 9.0" in err
    assert err.count("\n") == 1


def test_the_table_is_printed(lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lab("a", A100, first=10.0)
    lab("b", H100, first=11.0)
    code, out, _ = call(monkeypatch, capsys, "pool", "a", "b")
    assert code == 0
    assert [line.split("|")[6].strip() for line in out.splitlines()[2:]] == [A100, H100, crate.ALL]
    code, out, _ = call(monkeypatch, capsys, "pool", "a", "b", "--json")
    assert code == 0
    lines = [(line["machine"], line["n"], line["mean"], line["std"]) for line in json.loads(out)["cells"]]
    assert lines == [(A100, 1, 10.0, None), (H100, 1, 11.0, None), (crate.ALL, 1, 10.5, None)]
    assert json.loads(out)["spread"] == []


def test_the_spread_is_printed_below(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _two_machines(lab)
    code, out, _ = call(monkeypatch, capsys, "pool", "a", "b")
    assert code == 0
    cells = [cell.strip() for cell in out.splitlines()[-1].split("|")]
    assert cells[-8:-1] == ["2", "2", "2 (1)", "0.2", "1.225 (1)", "0.3", "1 (1)"]
    code, out, _ = call(monkeypatch, capsys, "pool", "a", "b", "--json")
    assert code == 0
    (line,) = json.loads(out)["spread"]
    assert line["machines"] == [A100, H100]
    assert line["machine"] == pytest.approx(1.5**0.5)


def test_a_changed_file_is_found(lab: Any) -> None:
    folder = lab("a", A100, first=10.0)
    cells = folder / crate.CELLS
    cells.write_text(cells.read_text().replace("10.0", "9.0"))
    with pytest.raises(UserError, match="its SHA-256 is not that in"):
        crate.read(folder)


@pytest.mark.parametrize(
    ("changed", "message"),
    [(("references_fid", "x"), "no column references_fid"), (('"cells"', '"sells"'), "damaged, or of another version")],
)
def test_a_crate_of_another_form_is_refused(lab: Any, changed: tuple[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        crate.read(lab("a", A100, changed, first=10.0))


def test_what_is_no_crate_and_one_named_twice_are_refused(lab: Any, tmp_path: Path) -> None:
    folder = lab("a", A100, first=10.0)
    with pytest.raises(UserError, match=r"empty: no crate.*transgan replay --export"):
        crate.read(tmp_path / "empty")
    with pytest.raises(UserError, match="named twice"):
        crate.pool(crate.read_all([folder, folder]))


def test_without_the_library_one_line_says_how_to_get_it(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab("a", A100, first=10.0)
    for name in [name for name in sys.modules if name.partition(".")[0] == "rocrate"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rocrate", None)
    code, _, err = call(monkeypatch, capsys, "replay", "unconditional", "--export", "out")
    assert code == 2
    assert err.splitlines()[-1] == "transgan: rocrate is not installed; run `pip install 'transgan[crate]'`"


def test_an_exported_crate_is_read_again_and_has_the_same_bytes(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rocrate")
    lab("by-hand", A100, first=10.0, second=12.0)
    for folder, cell in (("table", ()), ("again", ()), ("cell", ("TransGAN", "CIFAR-10"))):
        code, out, _ = call(monkeypatch, capsys, "replay", "unconditional", *cell, "--export", folder)
        assert code == 0
        assert f"{folder}: an RO-Crate of 1 cells" in out
    for path in Path("table").iterdir():
        assert path.read_bytes() == (Path("again") / path.name).read_bytes()
    assert crate.pool(crate.read_all([Path("table"), Path("by-hand")]))["mean"].tolist() == [11.0]
    graph = {each["@id"]: each for each in json.loads((Path("table") / crate.METADATA).read_text())["@graph"]}
    assert graph[f"#train-{RUN}"]["description"] == A100
    assert graph[f"#commit-{'c' * 40}"]["version"] == "c" * 40
    digests = json.loads((Path("table") / crate.DIGESTS).read_text())
    assert digests[f"results/demo/scores/{RUN}.json"] == files.sha256(Path(f"results/demo/scores/{RUN}.json"))
    frame = pd.read_csv(StringIO((Path("cell") / crate.CELLS).read_text()))
    assert set(frame["run"]) == {RUN, OTHER}
    code, _, err = call(monkeypatch, capsys, "replay", "unconditional", "--export", "table")
    assert code == 2
    assert "table: not an empty folder" in err
