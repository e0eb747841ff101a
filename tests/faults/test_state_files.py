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


@pytest.mark.parametrize("content", ['{"protocols": {"few": {"fid": {"val', "", "[]", '{"fingerprint": 3}'])
def test_a_damaged_result_names_the_command_that_writes_it(project: Path, content: str) -> None:
    from transgan.metrics.score_file import read_scores
    from transgan.pipeline.run_files import read_provenance, read_record

    plan = plans.load()
    for path in (plan.paths.score(RUN), *(plan.paths.run(RUN) / name for name in ("run.json", "provenance.json"))):
        write(path, content)
    for read, verb in ((read_scores, "score"), (read_record, "train"), (read_provenance, "train")):
        with pytest.raises(UserError, match=rf"damaged .*delete it \(`rm results/\S+`\).* `transgan {verb} {RUN}`"):
            read(plan, RUN)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_manifest_names_its_dataset(project: Path, content: str) -> None:
    from transgan.data.pack import Pack, open_pack

    write(plans.load().paths.data("cifar10") / "manifest.json", content)
    with pytest.raises(UserError, match=r"manifest\.json: damaged .*`transgan prepare cifar10 --scale tiny` again"):
        Pack.open(plans.load().paths.data("cifar10"))
    with pytest.raises(UserError, match=r"manifest\.json: damaged .*`transgan prepare cifar10` again"):
        open_pack(plans.load(), "cifar10")


def test_a_damaged_generator_and_classifier_name_their_commands(project: Path) -> None:
    from transgan.metrics import digit_classifier
    from transgan.metrics.generator_files import open_generator

    plan = plans.load()
    write(plan.paths.run(RUN) / "generator.safetensors", "cut")
    with pytest.raises(UserError, match=rf"generator\.safetensors: damaged .*; run `transgan train {RUN}`"):
        open_generator(plan, RUN)
    write(plan.paths.classifier("digits"), "cut")
    with pytest.raises(UserError, match=r"digits\.safetensors: damaged .*`transgan classifier digits --scale tiny`"):
        digit_classifier.load(plan.paths.classifier("digits"))
