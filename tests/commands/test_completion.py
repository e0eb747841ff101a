"""Shell completion of names, as a shell asks for it, and the texts of `--help`."""

import sys
from pathlib import Path

import pytest
import typer

from transgan import __version__, cli


def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> list[str]:
    """What bash would offer at the end of `line`."""
    monkeypatch.setattr(sys, "argv", ["transgan"])
    monkeypatch.setenv("_TRANSGAN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit):
        cli.main()
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("transgan train t", ["three-cifar10", "two-cifar10"]),
        ("transgan score one", ["one-cifar10"]),
        ("transgan prepare d", ["digits"]),
        ("transgan reference cifar10 ", ["few"]),
        ("transgan table ", ["small"]),
        ("transgan plan --scale ", ["tiny"]),
        ("transgan train --params other.yaml ", ["elsewhere"]),
        ("transgan train --params none.yaml ", []),
        ("transgan tra", ["train", "trace"]),
    ],
)
def test_names_are_completed(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    names: list[str],
) -> None:
    (project / "other.yaml").write_text("runs: {elsewhere: {}}\n")
    assert completed(monkeypatch, capsys, line) == names


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["transgan", "--version"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    assert capsys.readouterr().out == f"transgan {__version__}\n"


def test_every_argument_and_option_has_a_text() -> None:
    group = typer.main.get_command(cli.app)
    assert [
        f"{name} {parameter.name}"
        for name, command in group.commands.items()
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ] == []
