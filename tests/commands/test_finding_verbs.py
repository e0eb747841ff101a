"""The verbs of findings: options that exclude each other."""

import pytest

from transgan.commands.finding_verbs import fid_budget
from transgan.errors import UserError
from transgan.report import fid_budget as tool


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "pictures", "run": "transgan-digits"}, "leave --run and --port out"),
        ({"images": "pictures", "port": ["weights.pth"]}, "leave --run and --port out"),
        ({"protocol": "fid50k-train"}, "--protocol goes with --images"),
    ],
)
def test_fid_budget_measures_a_run_or_images(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fid_budget(**{"run": None, "port": None, **options})  # type: ignore[arg-type]


def test_fid_budget_of_images_passes_them_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(tool, "make_of_images", lambda _, *given: asked.append(given) or [])
    fid_budget(images="pictures", protocol="fid50k-train")
    fid_budget(images="pictures")
    assert asked == [("pictures", "fid50k-train"), ("pictures", None)]
