"""What this machine says of its processor."""

from pathlib import Path

from transgan.hardware.info import cpu_identity

CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Processor: fast
stepping\t: 7

processor\t: 1
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 86
"""


def test_the_processor_is_identified_by_numbers(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    expected = {"vendor": "GenuineIntel", "family": 6, "model": 85, "stepping": 7}
    assert cpu_identity(tmp_path / "cpuinfo") == expected


def test_other_systems_and_processors_say_less(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
    assert cpu_identity(tmp_path / "cpuinfo") == {}
    assert cpu_identity(tmp_path / "missing") == {}
