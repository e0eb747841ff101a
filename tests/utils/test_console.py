"""News for the user never end the work."""

import os
import subprocess
import sys

from transgan.utils.console import duration

WORK = """
import sys
from transgan.utils.console import say
sys.stdin.read()
say("one"), say("two")
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
