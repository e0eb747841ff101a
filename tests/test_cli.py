"""The command line: bad input gives one line and exit code 2, bugs show a traceback, and help imports nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from transgan import cli
from transgan.errors import Diverged


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code and both streams of one call, in this process."""
    monkeypatch.setattr(sys, "argv", ["transgan", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    streams = capsys.readouterr()
    return int(str(caught.value.code or 0)), streams.out, streams.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "one-cifar"], "no run 'one-cifar'; did you mean 'one-cifar10'?"),
        (["score", "nothing-like-it"], "no run 'nothing-like-it'"),
        (["fetch", "cifar100"], "no dataset 'cifar100'; did you mean 'cifar10'?"),
        (["prepare", "cifar100"], "no dataset 'cifar100'"),
        (["reference", "cifar10", "fid50k"], "no protocol 'fid50k'"),
        (["classifier", "letters"], "no classifier 'letters'"),
        (["table", "smal"], "no table 'smal'; did you mean 'small'?"),
        (["plan", "--scale", "huge"], "no scale 'huge'"),
        (["plan", "--params", "none.yaml"], "none.yaml: not there"),
        (["prepare", "cifar10"], "source.json"),
        (["train", "one-cifar10"], "manifest.json"),
        (["score", "one-cifar10"], "no such file; create it with"),
        (["frobnicate"], "No such command 'frobnicate'. See `transgan --help`."),
        (["train"], "Missing argument 'RUN'. See `transgan train --help`."),
        (["train", "one-cifar10", "--sacle", "tiny"], "No such option"),
        (["audit", "one-cifar10", "--expect", "low"], "a number. See `transgan audit --help`."),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    code, out, err = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_misspelt_key_is_one_line_and_exit_2(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["recipes"]["short"]["imges"] = 3
    Path("params.yaml").write_text(yaml.safe_dump(content))
    code, _, err = call(monkeypatch, capsys, "plan")
    assert code == 2
    assert err == "transgan: params.yaml: recipes.short.imges: unknown key; did you mean 'images'?\n"


def test_divergence_is_exit_3(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transgan.training import train

    def diverge(plan: object, run: str, *_: object) -> None:
        raise Diverged(f"train {run}: d_loss is not finite after 640 images;\nlast good checkpoint kept")

    monkeypatch.setattr(train, "train", diverge)
    code, _, err = call(monkeypatch, capsys, "train", "one-cifar10")
    assert code == 3
    assert err.count("\n") == 1


def test_a_bug_shows_its_traceback(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transgan.training import train

    def bug(plan: object, run: str, *_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(train, "train", bug)
    monkeypatch.setattr(sys, "argv", ["transgan", "train", "one-cifar10"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from transgan import cli; sys.argv = ['transgan', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'matplotlib', 'pandas', 'seaborn', 'numpy', 'pydantic', 'sklearn'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for verb in (
        "fetch",
        "prepare",
        "reference",
        "classifier",
        "train",
        "score",
        "table",
        "cells",
        "figure",
        "plan",
        "sync",
        "clean",
        "doctor",
    ):
        assert verb in done.stdout


def test_a_read_only_results_folder_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is injected where results are written, because permissions do not stop a test that runs as root."""
    from transgan.data import fetch as stage

    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if "data" in str(target):
            raise OSError(30, "Read-only file system")
        return real(self, target)

    assert stage
    monkeypatch.setattr(Path, "replace", refuse)
    code, _, err = call(monkeypatch, capsys, "fetch", "digits")
    assert code == 2
    assert "cannot be written (Read-only file system)" in err
    assert err.count("\n") == 1


def test_help_has_a_short_name_and_everyday_tools_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(monkeypatch, capsys, "-h")
    assert code == 0
    assert out.index(" plan ") < out.index(" audit ")
    assert call(monkeypatch, capsys, "train", "-h")[0] == 0
