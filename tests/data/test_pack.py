"""Opening a pack."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import MakePlan, fetch_and_prepare
from tests.data.test_prepare import DIGITS
from transgan.config.plan import Plan
from transgan.data.pack import Pack, open_pack
from transgan.errors import UserError


def test_a_missing_damaged_or_inconsistent_file_is_reported(make_plan: MakePlan) -> None:
    plan = make_plan(DIGITS)
    fetch_and_prepare(plan, "digits")
    folder = plan.paths.data("digits")
    for name, damage, message in (
        ("images.npy", b"\x93NUMPY", "damaged"),
        ("labels.npy", None, "not there; run `transgan prepare digits --scale small`"),
        ("manifest.json", b"{", "damaged"),
    ):
        original = (folder / name).read_bytes()
        (folder / name).unlink()
        if damage is not None:
            (folder / name).write_bytes(damage)
        with pytest.raises(UserError, match=message):
            Pack.open(folder)
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(original)
    np.save(folder / "labels.npy", np.zeros(3, np.int64))
    with pytest.raises(UserError, match="do not fit"):
        Pack.open(folder)
    with pytest.raises(UserError, match="no split 'valid', it has: test, train"):
        Pack(np.zeros(1), np.zeros(1), {"splits": {"test": [0, 1], "train": [1, 2]}}).rows(["valid"])


def test_the_command_names_another_params_file(make_plan: MakePlan) -> None:
    plan = make_plan(DIGITS)
    plan = Plan(plan.params, plan.scale_name, Path("other.yaml"))
    with pytest.raises(UserError, match=r"`transgan prepare digits --params other\.yaml`"):
        open_pack(plan, "digits")
