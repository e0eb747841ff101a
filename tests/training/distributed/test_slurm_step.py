"""The variables by which processes that `srun` started meet."""

import os
from pathlib import Path

import pytest

from transgan.errors import UserError
from transgan.training.distributed import slurm_step

STEP = {
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "123",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[1-2]",
}
NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *STEP):
        monkeypatch.setenv(name, "")  # so that it is restored, whatever the code sets
        monkeypatch.delenv(name)


def test_torchruns_variables_follow_from_slurms() -> None:
    found = slurm_step.variables(STEP)
    assert found is not None
    assert (found["WORLD_SIZE"], found["RANK"], found["LOCAL_RANK"]) == ("4", "3", "1")
    assert 20000 <= int(found["MASTER_PORT"]) < 30000
    others = [slurm_step.variables({**STEP, **change}) for change in ({"SLURM_JOB_ID": "124"}, {"SLURM_STEP_ID": "1"})]
    assert len({found["MASTER_PORT"], *(other["MASTER_PORT"] for other in others if other)}) == 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {**STEP, "SLURM_STEP_NUM_TASKS": "1"},
        {key: value for key, value in STEP.items() if key != "SLURM_STEP_NUM_TASKS"},  # a batch script
        {**STEP, "WORLD_SIZE": "2"},  # torchrun inside of a step
    ],
)
def test_a_single_process_is_left_alone(environment: dict[str, str]) -> None:
    assert slurm_step.variables(environment) is None


def test_the_first_node_is_found_where_slurm_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        "#!/bin/sh\ncase $2 in hostnames) echo n1; echo n2;; node) echo ' NodeAddr=10.0.0.7 X=1';; esac\n"
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    slurm_step.meet()
    assert os.environ["MASTER_ADDR"] == "10.0.0.7"
    assert os.environ["RANK"] == "3"


def test_without_scontrol_the_message_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="MASTER_ADDR"):
        slurm_step.meet()
    monkeypatch.setenv("MASTER_ADDR", "n1")
    slurm_step.meet()
