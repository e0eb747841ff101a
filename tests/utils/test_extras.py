"""The extras of pyproject.toml, and the line about a library that one of them would install."""

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from transgan.utils import extras
from transgan.utils.exit_codes import one_line_exit

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_each_library_is_of_the_extra_that_installs_it() -> None:
    for extra, libraries in extras.EXTRAS.items():
        names = {Requirement(text).name for text in PROJECT["optional-dependencies"][extra]}
        assert set(libraries) <= names, extra


def test_scoring_alone_installs_no_library_of_an_extra() -> None:
    base = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert not base & {library for libraries in extras.EXTRAS.values() for library in libraries}


def test_a_missing_library_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, one_line_exit():
        raise ModuleNotFoundError("No module named 'pandas.api'", name="pandas.api")
    assert caught.value.code == 2
    assert capsys.readouterr().err == "transgan: pandas is not installed; run `pip install 'transgan[report]'`\n"


def test_a_missing_module_of_no_extra_is_a_bug() -> None:
    with pytest.raises(ModuleNotFoundError), one_line_exit():
        raise ModuleNotFoundError("No module named 'transgan.nowhere'", name="transgan.nowhere")
