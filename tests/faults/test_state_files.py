"""Small files in the state folder that hold anything: `plan` and `data` show what they can, or name the file."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from transgan.commands import show_data, show_plan
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.hardware.info import device_name

pytestmark = pytest.mark.faults

RUN = "one-cifar10"
ANYTHING = ["", "[]", "null", "3", '"text"', "{}", '{"images": []}', '{"done": "x", "entries": null}', "[" * 100_000]


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize("content", ANYTHING)
def test_plan_and_data_with_damaged_state_files(
    project: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plans.load()
    training = plan.paths.workspace("train", RUN, plan.fingerprint("train", RUN))
    write(training / "checkpoint-000000000100.json", content)
    write(training / "fid.csv", content)
    write(plan.paths.workspace("prepare", "cifar10", plan.fingerprint("prepare", "cifar10")) / "progress.json", content)
    for name in ("source.json", "manifest.json"):
        write(plan.paths.data("cifar10") / name, content)
    for path in (plan.paths.score(RUN), plan.paths.run(RUN) / "run.json"):
        write(path, content)
    with suppress(UserError):  # which names the file
        show_plan.show(plan, as_json=True)
    show_data.show(plan)
    assert "cifar10" in capsys.readouterr().out


@pytest.mark.parametrize("calibration", [[], 3, {}, {"training_tflops": "x", "product_tflops": 3, "precision": []}])
def test_a_damaged_calibration_is_named(project: Path, calibration: object) -> None:
    plan = plans.load()
    write(plan.paths.state / "calibration.json", json.dumps({device_name(cpu=True): calibration}))
    with pytest.raises(UserError, match=r"calibration\.json: damaged .* delete it"):
        show_plan.show(plan, as_json=True)
