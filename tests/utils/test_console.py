"""Log messages: one line each, warnings marked; a closed pipe does not stop the work."""

import logging
import os
import subprocess
import sys

import pytest

from transgan.utils.console import configure_logging, print_wrapped, progress, table_console

WORK = """
import sys
import logging
from transgan.utils.console import configure_logging
configure_logging()
logger = logging.getLogger("transgan.utils")
sys.stdin.read()
logger.info("one"), logger.warning("two")
open(sys.argv[1], "w").write("done")
sys.exit(143)
"""


def test_work_continues_after_the_reader_of_its_messages_has_gone(tmp_path):
    reading, writing = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, "-c", WORK, str(tmp_path / "result")], stdin=subprocess.PIPE, stderr=writing
    )
    os.close(writing)
    os.close(reading)
    worker.communicate(b"")
    assert worker.returncode == 143
    assert (tmp_path / "result").read_text() == "done"


def test_messages_are_one_line_each_and_warnings_are_marked(capsys):
    logging.getLogger("transgan.anything").info("one")
    logging.getLogger("transgan.anything").warning("two")
    assert capsys.readouterr().err == "one\nwarning: two\n"


def test_configuring_twice_prints_a_message_once(capsys):
    configure_logging()
    logging.getLogger("transgan.anything").info("one")
    assert capsys.readouterr().err == "one\n"


def test_only_the_first_of_several_processes_prints_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    configure_logging()
    try:
        logging.getLogger("transgan.anything").warning("one")
        logging.getLogger("transgan.anything").error("two")
    finally:
        monkeypatch.delenv("RANK")
        configure_logging()
    assert capsys.readouterr().err == "error: two\n"


def test_a_library_user_who_configures_nothing_sees_only_warnings():
    code = (
        "import logging, transgan.utils.console as console\n"
        "logger = logging.getLogger('transgan.any')\n"
        "logger.info('one'), logger.warning('two')\n"
        "console.LINE_EVERY_SECONDS = 0.0\n"
        "with console.progress('work', 2, 'images') as bar:\n"
        "    bar.advance(1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "two\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_line_is_broken_between_words_on_a_terminal_only(monkeypatch, capsys, terminal):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")
    text = "next       `transgan plan --scale paper` shows what the reproduction costs"
    print_wrapped(table_console(), text)
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines).split() == text.split()
    assert max(map(len, lines)) <= 30 if terminal else lines == [text]


def test_progress_is_a_line_a_minute_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr("transgan.utils.console.LINE_EVERY_SECONDS", 0.0)
    with progress("train x", 100, "images", done=40) as bar:
        bar.note("loss 1.5")
        bar.advance(10)
    line = capsys.readouterr().err
    assert line.startswith("train x: 50/100 images, ")
    assert line.endswith(" left loss 1.5\n")
