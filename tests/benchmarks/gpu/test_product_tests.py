"""The product's tests in a session: which files, and what is read from pytest's report."""

from pathlib import Path

from gpu.product_tests import counted, files_with_gpu_tests

from tests.conftest import ROOT

REPORT = """<testsuites><testsuite tests="4">
<testcase classname="tests.test_a" name="test_good"/>
<testcase classname="tests.test_a" name="test_bad"><failure message="assert 1 == 2&#10;where">text</failure></testcase>
<testcase classname="tests.test_a" name="test_broken"><error message="no fixture">text</error></testcase>
<testcase classname="tests.test_a" name="test_skipped"><skipped message="needs a GPU"/></testcase>
</testsuite></testsuites>"""


def test_a_report_gives_counts_and_a_line_for_each_failure(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert counted(report) == {
        "tests": 4,
        "failed": 2,
        "skipped": 1,
        "failures": ["tests.test_a::test_bad: assert 1 == 2", "tests.test_a::test_broken: no fixture"],
    }
    assert counted(tmp_path / "none.xml") == {}


def test_the_files_are_those_with_tests_for_a_gpu() -> None:
    names = [path.name for path in files_with_gpu_tests(ROOT / "tests")]
    assert "test_gpu.py" in names
    assert "test_cli.py" not in names
