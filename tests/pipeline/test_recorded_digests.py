"""Declared files are compared with the digests of the state folders."""

import hashlib
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.pipeline.recorded_digests import check_unchanged, looks_unchanged
from transgan.pipeline.stages import Stage, stage
from transgan.pipeline.workspace import mark_finished, run_stage
from transgan.utils import files

RUN = "one-cifar10"

pytestmark = pytest.mark.faults


@pytest.fixture
def finished(project: Path) -> Stage:
    """A finished stage with two outputs in out/: small.csv and large.bin."""
    plan = plans.load()
    made = replace(stage(plan, "train", RUN), files={name: Path("out") / name for name in ("small.csv", "large.bin")})
    _run(made)
    return made


def _run(made: Stage, data: str = "0" * 64) -> None:
    def work(folder: Path) -> None:
        files.write_text(folder / "small.csv", f"fid,{data[:2]}\n")
        files.write_bytes(folder / "large.bin", bytes(2**20))

    run_stage(plans.load(), made, work, {"data": data})


def check(made: Stage, name: str) -> None:
    check_unchanged(plans.load(), "train", RUN, Path("out") / name, made.fingerprint)


def test_what_a_stage_wrote_is_unchanged(finished: Stage) -> None:
    check(finished, "small.csv")
    check(finished, "large.bin")
    assert looks_unchanged(plans.load(), finished)


@pytest.mark.parametrize("linked", [True, False])
def test_an_edited_file_is_refused_until_the_stage_restores_it(finished: Stage, linked: bool) -> None:
    path = Path("out/small.csv")
    if not linked:
        path.unlink()
    path.write_text("fid,01\n")
    assert not looks_unchanged(plans.load(), finished)
    with pytest.raises(UserError, match=rf"out/small\.csv: was changed or damaged .* `transgan train {RUN}`"):
        check(finished, "small.csv")
    _run(finished)
    check(finished, "small.csv")
    assert path.read_text() == "fid,00\n"


def test_a_large_file_is_compared_by_size_and_where_it_is_used_by_digest(finished: Stage) -> None:
    path = Path("out/large.bin")
    path.write_bytes(b"x" + bytes(2**20 - 1))
    assert looks_unchanged(plans.load(), finished)
    with pytest.raises(UserError, match="was changed"):
        check(finished, "large.bin")
    path.write_bytes(bytes(2**19))
    assert not looks_unchanged(plans.load(), finished)


def test_a_result_of_other_data_under_the_same_configuration_is_accepted(finished: Stage) -> None:
    before = Path("out/small.csv").read_bytes()
    _run(finished, "1" * 64)
    check(finished, "small.csv")
    files.write_bytes(Path("out/small.csv"), before)  # as `dvc checkout` does
    check(finished, "small.csv")
    assert looks_unchanged(plans.load(), finished)


@pytest.mark.parametrize("pulled", [True, False])
def test_another_machines_result_is_named_and_either_is_one_command_away(
    finished: Stage, pulled: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """`dvc pull` brings what another machine computed under the same configuration: dvc.lock has its digest."""
    path = Path("out/small.csv")
    files.write_text(path, "fid,of another machine\n")
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    if pulled:
        entry = f"    - path: {path}\n      hash: md5\n      md5: {digest}\n      size: 3\n"
        Path("dvc.lock").write_text(f"stages:\n  train@x:\n    outs:\n{entry}")
    what = "is another machine's result .* whole as dvc.lock records it" if pulled else "was changed or damaged"
    with pytest.raises(UserError, match=rf"out/small\.csv: {what}.* or `mv (\S+) (\S+)` to accept it") as refused:
        check(finished, "small.csv")
    assert f"run `transgan train {RUN}` to restore this machine's own" in str(refused.value)

    # Restore this machine's own: what is replaced is named.
    _run(finished)
    assert path.read_text() == "fid,00\n"
    assert "out/small.csv changed or another machine's; replaced by this machine's own" in capsys.readouterr().err
    _run(finished)
    assert "replaced" not in capsys.readouterr().err

    # Accept the other one.
    files.write_text(path, "fid,of another machine\n")
    commands = re.findall(r"`(mv [^`]+)`", str(refused.value))
    subprocess.run(commands[0], shell=True, check=True)
    check(finished, "small.csv")
    assert looks_unchanged(plans.load(), finished)


def test_a_return_to_an_earlier_configuration_replaces_without_a_word(
    finished: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(finished, fingerprint="f" * 16)
    folder = plans.load().paths.workspace("train", RUN, other.fingerprint)
    for name in ("small.csv", "large.bin"):
        files.write_text(folder / name, "of another configuration")
        files.link_or_copy(folder / name, Path("out") / name)
    mark_finished(folder, ("small.csv", "large.bin"))
    _run(finished)
    assert Path("out/small.csv").read_text() == "fid,00\n"
    assert "replaced" not in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", '{"outputs": []}', None])
def test_without_a_record_a_file_is_accepted(finished: Stage, content: str | None) -> None:
    marker = plans.load().paths.workspace("train", RUN, finished.fingerprint) / "finished.json"
    marker.unlink() if content is None else marker.write_text(content)
    Path("out/small.csv").write_text("from another machine")
    check(finished, "small.csv")
    assert looks_unchanged(plans.load(), finished)
