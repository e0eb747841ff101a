"""News for the user never end the work."""

import logging
import os
import subprocess
import sys

from transgan.utils.console import duration

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


def test_work_goes_on_where_nobody_reads_its_news(tmp_path):
    reading, writing = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, "-c", WORK, str(tmp_path / "result")], stdin=subprocess.PIPE, stderr=writing
    )
    os.close(writing)
    os.close(reading)
    worker.communicate(b"")
    assert worker.returncode == 143
    assert (tmp_path / "result").read_text() == "done"


def test_a_length_of_time_is_said_in_its_unit():
    assert [duration(seconds) for seconds in (45, 720, 12600, 181440)] == ["45 s", "12 min", "3.5 h", "2.1 days"]


def test_messages_are_one_line_each_and_warnings_say_so(capsys):
    logging.getLogger("transgan.anything").info("one")
    logging.getLogger("transgan.anything").warning("two")
    assert capsys.readouterr().err == "one\nwarning: two\n"


def test_a_library_user_who_configures_nothing_reads_nothing_but_warnings():
    code = "import logging; logging.getLogger('transgan.any').info('one'); logging.getLogger('transgan.any').warning('two')"
    done = subprocess.run(
        [sys.executable, "-c", f"import transgan; {code}"], capture_output=True, text=True, check=True
    )
    assert done.stderr == "two\n"
