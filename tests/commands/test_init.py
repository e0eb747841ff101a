"""`transgan init`: lays out the checkout's own files, or changes nothing."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from transgan.commands import init as tool
from transgan.config import project_files
from transgan.errors import UserError
from transgan.utils.git import Answer


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: empty, and in no git repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if ".git" not in path.parts}


def test_every_file_but_the_readme_is_the_checkouts(here: Path) -> None:
    assert tool.lay_out(here / "a" / "new", with_git=True)
    written = content(here / "a" / "new")
    assert set(written) == {*map(str, project_files.names()), "README.md"}
    assert {name for name, text in written.items() if (ROOT / name).read_bytes() != text} == {"README.md"}
    assert (here / "a/new/.git").is_dir()
    assert [path.name for path in here.iterdir()] == ["a"]


def test_git_ignores_what_stages_write(here: Path) -> None:
    tool.lay_out(here / "new", with_git=True)
    metrics = "results/demo/metrics/run.json"
    for name in (
        metrics,
        "results/x",
        "results/demo/scores/x",
        "data/x",
        "state/x",
        "logs/x",
        "mlflow.db",
        ".snakemake/x",
    ):
        (here / "new" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "new" / name).touch()
    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    listed = subprocess.run(status, cwd=here / "new", capture_output=True, text=True, check=True).stdout.split()
    assert set(listed) - {"??"} == {*map(str, project_files.names()), "README.md", metrics}


def test_without_git_dvc_is_told_so_and_that_is_the_only_other_difference(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool.init(Path("new"), with_git=False)
    written = content(here / "new")
    assert {name for name, text in written.items() if (ROOT / name).read_bytes() != text} == {
        "README.md",
        ".dvc/config",
    }
    assert "no_scm = true" in written[".dvc/config"].decode()
    assert "without git" in capsys.readouterr().out


def test_where_git_is_not_installed_it_does_without(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "git", lambda *_: Answer(None, "git is not installed"))
    assert not tool.lay_out(here / "new", with_git=True)
    assert "no_scm = true" in (here / "new/.dvc/config").read_text()


def test_in_a_repository_no_other_is_made(here: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=here, check=True)
    assert tool.lay_out(here / "new", with_git=True)
    assert not (here / "new/.git").exists()
    assert "no_scm" not in (here / "new/.dvc/config").read_text()


def test_the_current_folder_may_hold_other_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "notes.txt").write_text("mine")
    tool.init(Path(), with_git=True)
    assert (here / "notes.txt").read_text() == "mine"
    assert set(content(here)) == {*map(str, project_files.names()), "README.md", "notes.txt"}
    out = capsys.readouterr().out
    assert "snakemake --cores all reproduce_tables" in out
    assert "  cd " not in out


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "workflow", "README.md", ".gitignore"])
def test_a_folder_with_such_files_is_refused_and_stays_as_it_is(here: Path, name: str) -> None:
    (here / "old").mkdir()
    (here / "old" / name).write_text("mine")
    with pytest.raises(UserError, match=f"contains {name}; name a new folder"):
        tool.lay_out(here / "old", with_git=True)
    assert content(here) == {f"old/{name}": b"mine"}


def test_a_second_call_is_refused(here: Path) -> None:
    tool.lay_out(here / "new", with_git=True)
    with pytest.raises(UserError, match=r"contains .*params\.yaml"):
        tool.lay_out(here / "new", with_git=True)


def test_a_file_is_refused(here: Path) -> None:
    (here / "new").write_text("mine")
    with pytest.raises(UserError, match="a file"):
        tool.lay_out(here / "new", with_git=True)


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_after_a_failure_or_an_interruption_nothing_has_changed(
    here: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, exists: bool
) -> None:
    """It fails at the last move into place."""
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if target.name in ("workflow", "new"):
            raise failure
        return real(self, target)

    if exists:
        (here / "new").mkdir()
    monkeypatch.setattr(Path, "rename", rename)
    expected = UserError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        tool.lay_out(here / "new", with_git=True)
    assert [path.name for path in here.rglob("*")] == (["new"] if exists else [])
