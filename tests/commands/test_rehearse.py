"""`transgan rehearse`, and what `transgan plan` makes of it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from transgan.commands import rehearse, show_plan
from transgan.config import plan as plans
from transgan.cost import rehearsal_file
from transgan.cost.rehearsal_file import DOES_NOT_FIT, FITS, SHAPES, Rehearsal
from transgan.errors import UserError
from transgan.hardware.info import device_name


def transgan(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "transgan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_rehearsal_is_stored_and_not_repeated(project: Path) -> None:
    for command in (("fetch", "digits"), ("prepare", "digits"), ("classifier", "digits")):  # so that scoring is tried
        assert transgan(*command).returncode == 0
    first = transgan("rehearse", "one-cifar10")
    assert first.returncode == 0, first.stderr
    assert "rehearse one-cifar10 (1 of 1)" in first.stderr
    plan = plans.load()
    stored = rehearsal_file.read(plan, plan.run("one-cifar10"))
    assert stored is not None
    assert stored.result == SHAPES
    second = transgan("rehearse", "one-cifar10")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert "(1 of 1)" not in second.stderr
    assert "(1 of 1)" in transgan("rehearse", "one-cifar10", "--again").stderr


def test_on_meta_nothing_is_stored(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.load()
    rehearse.rehearse(plan, ["one-cifar10"], "meta", again=False)
    assert "memory is counted, not measured" in capsys.readouterr().out
    assert not rehearsal_file.path(plan).exists()


def test_a_killed_process_is_a_run_that_does_not_fit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse, "_exit_code", lambda _: -9)
    plan = plans.load()
    with pytest.raises(UserError, match=r"1 of 1 runs have problems \(one-cifar10\)"):
        rehearse.rehearse(plan, ["one-cifar10"], "cpu", again=False)
    stored = rehearsal_file.read(plan, plan.run("one-cifar10"))
    assert stored is not None
    assert stored.failed == ["its process was killed, probably because the machine's memory was exhausted"]


# In the process of a run, writing the checkpoint takes a minute.
SLOW_CHECKPOINT = """
import sys
if "transgan.cost.rehearsal" in sys.orig_argv:
    import time
    from pathlib import Path
    from transgan.training.checkpoint import Checkpoints
    def save(checkpoints, images, state):
        Path("begun").write_text(str(checkpoints.folder))
        time.sleep(60)
        Path("finished").touch()
    Checkpoints.save = save
"""


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_in_progress_with_one_line_and_leaves_nothing(
    signum: signal.Signals, project: Path
) -> None:
    temporary = project / "tmp"
    temporary.mkdir()
    (project / "sitecustomize.py").write_text(SLOW_CHECKPOINT)
    process = subprocess.Popen(
        [sys.executable, "-m", "transgan", "rehearse", "one-cifar10", "--device", "cpu"],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": f"{project}:{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    begun = project / "begun"
    while not begun.exists() or not begun.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    folder = Path(begun.read_text())
    assert folder.is_relative_to(temporary)
    assert folder.exists()
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert errors.splitlines()[1:] == [f"transgan: stopped by {signum.name}"]  # after "rehearse one-cifar10 ..."
    assert not folder.parent.exists()
    assert not (project / "finished").exists()
    assert not rehearsal_file.path(plans.load()).exists()


def test_a_process_that_ignores_signals_is_killed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse, "GRACE_SECONDS", 0.5)
    parent = os.getpid()
    loop = "while true; do sleep 0.1; done"
    stubborn = ["bash", "-c", f"trap '' TERM; echo $$ > pid; sleep 2; kill -INT {parent}; {loop}"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            rehearse._exit_code(stubborn)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not Path(f"/proc/{Path('pid').read_text().strip()}").exists()


def test_rehearsals_at_the_same_time_keep_each_others_entries(project: Path) -> None:
    code = (
        "import sys; from transgan.config import plan as plans; from transgan.cost import rehearsal_file as f\n"
        "plan = plans.load(); run = plan.run(sys.argv[1])\n"
        "for i in range(50):\n"
        "    f.write(plan, run, f.Rehearsal(f.key(run), i, 'fits', 1, None, None, None, None, {}), 'device')\n"
    )
    names = ["one-cifar10", "two-cifar10"]
    processes = [subprocess.Popen([sys.executable, "-c", code, name]) for name in names]
    assert [process.wait() for process in processes] == [0, 0]
    plan = plans.load()
    found = [rehearsal_file.read(plan, plan.run(name), "device") for name in names]
    assert [rehearsal and rehearsal.batch for rehearsal in found] == [49, 49]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_cuda_is_refused_in_one_line(project: Path) -> None:
    ended = transgan("rehearse", "one-cifar10", "--device", "cuda")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "transgan: rehearse: --device cuda, but torch sees no GPU here; choose --device cpu or meta\n"
    )
    params = Path("params.yaml")
    text = params.read_text().replace("device: cpu", "device: cuda").replace("same_bytes: true", "same_bytes: false")
    params.write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml: execution\.device is cuda, but torch sees no GPU here"):
        rehearse.rehearse(plans.load(), ["one-cifar10"], "auto", again=False)


def test_an_unknown_device_is_named(project: Path) -> None:
    with pytest.raises(UserError, match="--device tpu: unknown; choose auto, cpu, cuda, meta"):
        rehearse.rehearse(plans.load(), [], "tpu", again=False)


def test_the_plan_has_measured_hours_and_memory(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plans.load()
    run = plan.run("one-cifar10")
    fits = Rehearsal(rehearsal_file.key(run), 16, FITS, 16, 16, 3.5, 0.25, None, {"score": "ok"})
    rehearsal_file.write(plan, run, fits, device_name(cpu=True))
    show_plan.show(plan, as_json=True)
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    row = rows["one-cifar10"]
    assert (row["rehearsed"], row["fits"], row["measured_memory_gib"]) == (True, True, 3.5)
    assert row["hours"] == pytest.approx(0.25 * 512 / 3600)
    assert (rows["two-cifar10"]["rehearsed"], rows["two-cifar10"]["hours"]) == (False, None)
    show_plan.show(plan, as_json=False)
    assert "*: measured by `transgan rehearse` on this device." in capsys.readouterr().out

    # A run that does not fit is marked, and one that has changed since is not measured.
    failed = replace(fits, result=DOES_NOT_FIT, error="out of memory", seconds_per_image=None)
    rehearsal_file.write(plan, run, failed, device_name(cpu=True))
    changed = run.model_copy(update={"recipe": run.recipe.model_copy(update={"batch": 8})})
    assert rehearsal_file.read(plan, changed, device_name(cpu=True)) is None
    show_plan.show(plan, as_json=True)
    assert not json.loads(capsys.readouterr().out)["runs"][0]["fits"]


@pytest.mark.parametrize("content", ["[]", "{", '{"DEVICE": 3}', '{"DEVICE": {"one-cifar10": {"key": 1}}}'])
def test_a_damaged_file_is_as_none(content: str, project: Path) -> None:
    plan = plans.load()
    file = rehearsal_file.path(plan)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content.replace("DEVICE", device_name(cpu=True)))
    assert rehearsal_file.read(plan, plan.run("one-cifar10")) is None
